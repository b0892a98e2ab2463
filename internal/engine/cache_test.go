package engine

import (
	"errors"
	"fmt"
	"testing"
)

// TestCache: what came last is kept, up to the bound; a payload larger than the bound is kept
// alone.
func TestCache(t *testing.T) {
	const most = 64 << 10
	c := newCache(most, func(uint64, []byte) (Stored, error) { return Stored{}, errors.New("not kept") })
	kept := func(frame uint64) bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		_, ok := c.at[frame]
		return ok
	}
	for i := range uint64(5000) {
		c.add(payload{frame: i + 1, time: int64(i), bytes: fmt.Append(nil, "payload ", i)})
	}
	if kept(1) || !kept(5000) || c.size > most || len(c.at)*frameCost > most {
		t.Errorf("of 5000 small frames %d are kept in %d bytes of %d; the first %v, the last %v", len(c.at), c.size, most,
			kept(1), kept(5000))
	}
	for i := range uint64(5000) {
		if !kept(i + 1) {
			continue
		}
		if p, err := c.frame(i + 1); err != nil || string(p.bytes) != fmt.Sprint("payload ", i) || p.time != int64(i) {
			t.Fatalf("frame %d = %q, %d, %v", i+1, p.bytes, p.time, err)
		}
	}
	c.add(payload{frame: 9000, bytes: make([]byte, 10*most)})
	if !kept(9000) || len(c.at) != 1 {
		t.Errorf("beside a frame of ten times the bound %d others are kept", len(c.at)-1)
	}
	c.add(payload{frame: 9001, bytes: []byte("small again")})
	if kept(9000) || !kept(9001) {
		t.Errorf("after it a small one: the large one is kept %v, the small one %v", kept(9000), kept(9001))
	}
}
