package memcache

import (
	"slices"
	"testing"
	"time"
)

// TestPatience plays commits, each of the connections that are named, and says what the loop does
// before the next one.
func TestPatience(t *testing.T) {
	const took = 200 * time.Microsecond
	tests := []struct {
		name    string
		commits []string // a letter is a connection
		likely  int
	}{
		{"nobody", nil, 0},
		{"one", []string{"a", "a", "a"}, 1},
		{"halves that take turns are one", []string{"ab", "cd", "ab", "cd"}, 4},
		{"uneven halves", []string{"a", "bcd", "a", "bcd"}, 4},
		{"all at once", []string{"abcd", "abcd", "abcd"}, 4},
		{"a part of them", []string{"abcd", "abc", "abcd", "ab"}, 4},
		{"two have gone", []string{"abcd", "abcd", "ab", "ab"}, 2},
		{"slow ones are not waited for", []string{"a", "b", "c", "d", "a", "b", "c", "d"}, 0},
		{"one among slow ones", []string{"ab", "ac", "ad", "ab", "ac", "ad"}, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var p patience
			conns := map[rune]*conn{}
			for range 3 { // whatever came before
				for _, names := range tt.commits {
					var list []*conn
					for _, name := range names {
						if conns[name] == nil {
							conns[name] = &conn{}
						}
						list = append(list, conns[name])
					}
					p.committed(took, list[:len(list)/2], list[len(list)/2:])
				}
			}
			if p.likely != tt.likely {
				t.Errorf("after %q %d connections are likely, want %d", tt.commits, p.likely, tt.likely)
			}
			now := time.Now()
			if got := p.over(1, now); got != (tt.likely <= 1) {
				t.Errorf("over(1) with %d likely = %v", tt.likely, got)
			}
			if got := p.over(max(tt.likely, 1), now); !got {
				t.Errorf("over(%d) with as many likely = false", tt.likely)
			}
		})
	}
}

// TestPatienceInVain: a wait ends after as long as the last commit took, and after each in vain more
// commits are made at once, until one was worth it.
func TestPatienceInVain(t *testing.T) {
	const took = 200 * time.Microsecond
	p := patience{likely: 2, took: took}
	now := time.Now()
	wait := func(n int) (waited time.Duration) {
		for began := now; !p.over(n, now); now = now.Add(took / 4) {
			waited = now.Add(took / 4).Sub(began)
		}
		return waited
	}
	var waits []int // commits of one connection until one has waited in vain
	for at, i := 0, 1; i <= 12; i++ {
		if w := wait(1); w > 0 {
			if w <= took || w > 2*took {
				t.Errorf("waited %v, want a little more than %v", w, took)
			}
			waits = append(waits, i-at)
			at = i
		}
	}
	if want := []int{1, 2, 4}; !slices.Equal(waits, want) {
		t.Errorf("commits from wait to wait: %v, want %v", waits, want)
	}
	for wait(1) == 0 { // until the next wait in vain
	}
	for range p.rest {
		wait(1)
	}
	p.over(1, now)
	p.over(2, now.Add(took/2)) // the second one came
	if wait(1) == 0 || wait(1) != 0 || wait(1) == 0 {
		t.Error("a wait that was worth it did not end the rests")
	}
}
