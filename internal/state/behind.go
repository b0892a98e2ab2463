package state

import "github.com/glassq/glassq"

// A Behind looks at frames behind a gap of the log, of which a state knows only what was before it.
// It is not safe for concurrent use.
type Behind struct {
	st    *State
	puts  map[[16]byte]int // bodies that were told of, by sameBody
	moves map[uint64]bool  // tasks that st does not know, and of which a move was told
	dec   Decoder
}

// NewBehind returns a Behind for a log of which st is the state before the gap.
func NewBehind(st *State) *Behind {
	return &Behind{st: st, puts: map[[16]byte]int{}, moves: map[uint64]bool{}}
}

// Each looks at the records of one frame, of the time at. It calls again for each task that is to be
// put again, and known with each move of the body of a task that the state knows. A task of which both
// the put and a move lie behind the gap is told of once. The error is of the first record that does not
// decode, or of a function.
func (b *Behind) Each(payload []byte, at int64, again func(glassq.Task) error, known func(move []byte) error) error {
	return Puts(payload, func(n uint64, rec []byte) error {
		key := sameBody(rec, at)
		switch {
		case n == 0:
			b.puts[key]++
		case n >= b.st.NextTask() && IsCheckpoint(rec):
			return nil // its task begins anew
		case n < b.st.NextTask():
			if b.st.CheckMove(rec) != nil {
				return nil // it was over before the gap
			}
			return known(rec)
		case b.moves[n]:
			return nil
		default:
			if b.moves[n] = true; b.puts[key] > 0 {
				b.puts[key]--
				return nil
			}
		}
		var t glassq.Task
		if _, err := b.dec.Task(&t, rec); err != nil {
			return err
		}
		return again(t)
	})
}
