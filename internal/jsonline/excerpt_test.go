package jsonline

import "testing"

func TestAppendExcerpt(t *testing.T) {
	tests := []struct {
		name, kept string
		all        int64
		want       string
	}{
		{"empty", "", 0, `,"out":""`},
		{"whole", "abc", 3, `,"out":"abc"`},
		{"cut", "abc", 5, `,"out":"abc","out_cut":2`},
		{"nothing kept", "", 5, `,"out_cut":5`},
		{"cut in a character", "aä\xe2\x82", 7, `,"out":"aä","out_cut":4`},
		{"cut after a character", "aä", 7, `,"out":"aä","out_cut":4`},
		{"octets", "\xff\xfe", 2, `,"out_b64":"//4="`},
		{"octets, cut", "\xff\xfe\xfd", 9, `,"out_b64":"//79","out_cut":6`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := string(AppendExcerpt(nil, "out", []byte(tt.kept), tt.all)); got != tt.want {
				t.Errorf("AppendExcerpt(%q, %d) = %s; want %s", tt.kept, tt.all, got, tt.want)
			}
		})
	}
}
