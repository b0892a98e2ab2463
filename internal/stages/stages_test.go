package stages

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/glassq/glassq"
)

func TestParse(t *testing.T) {
	tests := []struct {
		name, in string
		want     []Stage
		refused  string // part of the error
	}{
		{"none", " ", nil, ""},
		{"a climb and a plain", "0..5000/30s, 5000/1m", []Stage{{0, 5000, 30 * time.Second}, {5000, 5000, time.Minute}}, ""},
		{"no duration", "5000", nil, "stage 1"},
		{"the second is bad", "1/1s,2/0s", nil, "stage 2"},
		{"no number", "NaN/1s", nil, "rate"},
		{"too fast", "1e8/1s", nil, "rate"},
		{"too long", "1/1000000h", nil, "duration"},
		{"too many", strings.TrimSuffix(strings.Repeat("1/1s,", glassq.MaxStages+1), ","), nil, "101 stages"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Parse(tt.in)
			if !slices.Equal(got, tt.want) {
				t.Errorf("Parse(%q) = %v, want %v", tt.in, got, tt.want)
			}
			switch {
			case tt.refused == "" && err != nil:
				t.Errorf("Parse(%q): %v", tt.in, err)
			case tt.refused != "" && (glassq.CodeOf(err) != glassq.CodeBadRequest || !strings.Contains(err.Error(), tt.refused)):
				t.Errorf("Parse(%q): %v; want bad_request with %q", tt.in, err, tt.refused)
			}
		})
	}
}
