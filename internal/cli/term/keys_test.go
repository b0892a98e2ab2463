package term

import (
	"bufio"
	"slices"
	"strings"
	"testing"
)

func TestReadKey(t *testing.T) {
	for _, tt := range []struct {
		name, typed string
		want        []Key
	}{
		{"letters", "q?", []Key{'q', '?'}},
		{"arrows", "\x1b[A\x1b[B\x1bOA\x1bOB", []Key{KeyUp, KeyDown, KeyUp, KeyDown}},
		{"pages", "\x1b[5~\x1b[6~", []Key{KeyPageUp, KeyPageDown}},
		{"unknown ones", "\x1b[1;5C\x1b[Zq", []Key{0, 0, 'q'}},
		{"escape and a letter", "\x1bq", []Key{0, 'q'}},
		{"no text", "\xff\x00", []Key{0xfffd, 0}},
		{"Ctrl-C and tab", "\x03\t", []Key{KeyCtrlC, KeyTab}},
	} {
		in := bufio.NewReader(strings.NewReader(tt.typed))
		var got []Key
		for {
			key, err := readKey(in)
			if err != nil {
				break
			}
			got = append(got, key)
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: keys of %q = %v, want %v", tt.name, tt.typed, got, tt.want)
		}
	}
}
