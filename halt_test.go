package glassq

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestParseHalt(t *testing.T) {
	for _, tt := range []struct {
		text string
		want HaltRule
		ok   bool
	}{
		{"", HaltRule{}, true},
		{"failed>30% of 200", HaltRule{30, 200}, true},
		{"failed > 0.5 % of 1", HaltRule{0.5, 1}, true},
		{"failed>0%of 7", HaltRule{0, 7}, true},
		{"failed>100% of 200", HaltRule{}, false},
		{"failed>-1% of 200", HaltRule{}, false},
		{"failed>NaN% of 200", HaltRule{}, false},
		{"failed>30% of 201", HaltRule{}, false},
		{"failed>30% of 0", HaltRule{}, false},
		{"failed>30%", HaltRule{}, false},
		{"failed>30 of 200", HaltRule{}, false},
		{"fail=30%", HaltRule{}, false},
	} {
		got, err := ParseHalt(tt.text)
		if (err == nil) != tt.ok || tt.ok && got != tt.want || !tt.ok && CodeOf(err) != CodeBadRequest {
			t.Errorf("ParseHalt(%q) = %+v, %v; want %+v, fine: %v", tt.text, got, err, tt.want, tt.ok)
		}
	}
}

func TestHaltedString(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, tt := range []struct {
			name, want string
			until      time.Time
		}{
			{"for a person", "halted until somebody resumes it: why", time.Time{}},
			{"before the probe", "halted, a probe goes out at 00:01:00 UTC: why", time.Now().Add(time.Minute)},
			{"the moment of the probe", "halted, its probe is out, or goes to the next who asks: why", time.Now()},
			{"long after", "its probe is out, or goes", time.Now().Add(-time.Hour)},
		} {
			if got := (Halted{Why: "why", Until: tt.until}).String(); !strings.Contains(got, tt.want) {
				t.Errorf("%s: %q, want %q in it", tt.name, got, tt.want)
			}
		}
	})
}
