package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/output"
)

// TestReaderIsText: an output knows itself among the readers of a run, whatever its file is called.
func TestReaderIsText(t *testing.T) {
	for _, tt := range []struct{ name, path string }{
		{"ascii", "/d/r.ndjson"},
		{"latin 1", "/d/r\xe9sultats.ndjson"},
		{"longer than a run keeps", "/" + strings.Repeat("\u20ac", glassq.MaxReason)},
		{"the same, cut elsewhere", "/" + strings.Repeat("\u20ac", glassq.MaxReason) + "x"},
		{"the same, cut elsewhere again", "/" + strings.Repeat("\u20ac", glassq.MaxReason) + "xy"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var opt output.Options
			introduce(&opt, nil, tt.path)
			text, err := json.Marshal(opt.Reader)
			if err != nil {
				t.Fatal(err)
			}
			var back string
			if err := json.Unmarshal(text, &back); err != nil || back != opt.Reader || len(back) > glassq.MaxReason {
				t.Errorf("reader %q, %d bytes, comes back as %q, %v", opt.Reader, len(opt.Reader), back, err)
			}
		})
	}
}
