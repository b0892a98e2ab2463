package cluster

import "testing"

// TestVoidBehindVoid: an owner that was stopped sends on, and one of its messages takes the number of
// one that the next owner has on its way. That one is refused, and those behind it land with a link
// to a message that is not there: they are void, and the log goes on with the next claim.
func TestVoidBehindVoid(t *testing.T) {
	const claim, frame = 0, 1
	a, b, c := uint64(1), uint64(2), uint64(3)
	var r follower
	chain := map[uint64]uint64{} // of each writer, after what it has sent
	for _, tt := range []struct {
		name   string
		number uint64
		writer uint64 // and epoch
		after  uint64 // the writer whose chain it follows
		count  uint32
		void   bool
		bad    bool
	}{
		{"the first owner claims", 1, a, 0, claim, false, false},
		{"and writes", 2, a, a, frame, false, false},
		{"the next one claims", 3, b, a, claim, false, false},
		{"the first one's third, which finds the claim in the place of its second", 4, a, a, frame, true, false},
		{"the next one's second, behind its first, which was refused", 5, b, 9, frame, true, false},
		{"and its third", 6, b, 9, frame, true, false},
		{"another one claims behind all of them", 7, c, b, claim, false, false},
		{"and writes", 8, c, c, frame, false, false},
		{"what does not follow, without a void message before it", 9, c, 9, frame, false, true},
	} {
		if tt.void && tt.writer == a {
			chain[a]++ // it follows its own second, which is not there
		}
		h := head{store: storeID{1}, link: chain[tt.after], number: tt.number, epoch: tt.writer, writer: tt.writer,
			first: tt.number, part: 1, parts: 1, records: tt.count}
		msg := make([]byte, headSize)
		after := h.seal(msg)
		if !tt.void {
			chain[tt.writer] = after
		}
		chain[9] = 42
		_, void, err := r.next(tt.number, msg)
		if void != tt.void || (err != nil) != tt.bad {
			t.Fatalf("%s: void %v, %v; want void %v, an error %v", tt.name, void, err, tt.void, tt.bad)
		}
	}
}
