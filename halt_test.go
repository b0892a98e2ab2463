package glassq

import "testing"

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
