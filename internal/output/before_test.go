package output

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/glassq/glassq"
)

// TestRepeats: a result at a position that the file has is a repeat where it is the one that the file
// has, and refused where it is another one.
func TestRepeats(t *testing.T) {
	const body = `{"i":"x","o":{"ok":1,"rt":0.25,"t":1790000000.125}}`
	tests := []struct {
		name, file, comes string
		format            Format
		repeat            bool
	}{
		{"the same", `{"id":"r1/1","run":"r1",` + body[1:], body, NDJSON, true},
		{"the same, written in another way", `{ "o":{"t":1790000000.125,"ok":1,"rt":0.25,"a":1},"id":"r1/1","run":"r1" }`, body, NDJSON, true},
		{"begun at another time", `{"id":"r1/1","run":"r1",` + body[1:], strings.Replace(body, ".125", ".225", 1), NDJSON, false},
		{"without a time, with another content", `{"id":"r1/1","run":"r1","i":"x","o":{"ok":1,"rt":0.25}}`, `{"i":"y","o":{"ok":1,"rt":0.25}}`, NDJSON, false},
		{"the same, as CSV", csvHeader + "\nr1/1,r1,1,0.250000,,,,,,1790000000.125,,,x", body, CSV, true},
		{"another, as CSV", csvHeader + "\nr1/1,r1,1,0.250000,,,,,,1790000001.125,,,x", body, CSV, false},
		{"the second of two lines", "{\"id\":\"r1/1\",\"run\":\"r1\"}\n{\"id\":\"r1/1\",\"run\":\"r1\"," + body[1:], body, NDJSON, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q := newFake()
				q.run = &glassq.Run{Name: "r1", Results: "results.r1", Sealed: true, Total: 2, Books: glassq.Books{Put: 2, OK: 2}}
				q.add(0, `{}`)
				q.add(1, tt.comes)
				file := tt.file + "\n"
				seen, _, err := LoadSeen(strings.NewReader(file), LoadOptions{Format: tt.format,
					Again: func() io.Reader { return strings.NewReader(file) }})
				if err != nil {
					t.Fatal(err)
				}
				var w bytes.Buffer
				rep, err := Run(t.Context(), q, Options{Run: "r1", Queue: "results.r1", W: &w, Format: tt.format, Seen: seen})
				switch {
				case tt.repeat && (err != nil || rep.Duplicates != 1 || len(q.acked) != 2):
					t.Errorf("Run = %d duplicates, %v, %d acked; want 1, nil, 2", rep.Duplicates, err, len(q.acked))
				case !tt.repeat && (!errors.Is(err, glassq.ErrRunConflict) || len(q.acked)+len(q.leased)+w.Len() > 0):
					t.Errorf("Run = %v, %d acked, %d leased, wrote %q; want run_conflict, and all given back", err, len(q.acked), len(q.leased), &w)
				}
			})
		})
	}
}

// TestRepeatsOfNow: what this output has written itself and what comes again is a repeat, for which nobody
// reads the file.
func TestRepeatsOfNow(t *testing.T) {
	const file = `{"id":"r1/0","run":"r1","o":{"ok":1,"rt":0.25}}` + "\n"
	read := 0
	seen, _, err := LoadSeen(strings.NewReader(file), LoadOptions{Again: func() io.Reader {
		read++
		return strings.NewReader(file)
	}})
	if err != nil {
		t.Fatal(err)
	}
	l := glassq.Lease{Task: glassq.Task{Run: "r1", Position: 1, Dense: true, OfAttempt: 1, Body: []byte(`{}`)}}
	seen.add("r1", 1)
	if err := seen.repeats([]glassq.Lease{l}); err != nil || read != 0 {
		t.Errorf("repeats = %v, and the file was read %d times; want nil and 0", err, read)
	}
	l.Position = 0
	if err := seen.repeats([]glassq.Lease{l}); !errors.Is(err, glassq.ErrRunConflict) || read != 1 {
		t.Errorf("repeats of another at a position of the file = %v, and it was read %d times; want run_conflict and 1", err, read)
	}
}
