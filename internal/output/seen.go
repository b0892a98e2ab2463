package output

import (
	"github.com/RoaringBitmap/roaring/v2"
	"github.com/glassq/glassq"
)

// maxRuns is how many runs a Seen remembers; the one first met goes first.
const maxRuns = 1000

// A Seen remembers which positions of which runs have been written: a bit for each, and of the last
// 1,000 runs. Its zero value has seen nothing. It is for one goroutine.
type Seen struct {
	runs  map[string]*roaring.Bitmap
	order []string // of runs, first met first
	last  string   // run of the last call, and its bitmap
	bits  *roaring.Bitmap

	columns *columns // of the file, when it is CSV and has its first line
	unknown uint64   // failed results that do not say what their tasks were
	tally   *tally   // of the results that LoadSeen found; nil when there was no file
	file    *before  // what LoadSeen found, where it can be read again
}

// add notes a position and reports whether it is new.
func (s *Seen) add(run string, n uint32) bool { return s.of(run).CheckedAdd(n) }

// remove takes back an add.
func (s *Seen) remove(run string, n uint32) { s.of(run).Remove(n) }

// of returns the bitmap of a run.
func (s *Seen) of(run string) *roaring.Bitmap {
	if s.bits != nil && s.last == run {
		return s.bits
	}
	b := s.runs[run]
	if b == nil {
		if s.runs == nil {
			s.runs = make(map[string]*roaring.Bitmap)
		}
		if len(s.order) == maxRuns {
			delete(s.runs, s.order[0])
			s.order = s.order[1:]
		}
		b = roaring.New()
		s.runs[run] = b
		s.order = append(s.order, run)
	}
	s.last, s.bits = run, b
	return b
}

// Count returns how many positions of a run have been seen.
func (s *Seen) Count(run string) uint64 {
	if b := s.runs[run]; b != nil {
		return b.GetCardinality()
	}
	return 0
}

// missing returns how many positions of iv are not in b, and calls gone for each stretch of them.
func missing(b *roaring.Bitmap, iv glassq.Interval, gone func(glassq.Interval)) uint64 {
	have := b.Rank(iv.Last)
	if iv.First > 0 {
		have -= b.Rank(iv.First - 1)
	}
	lost := uint64(iv.Last) - uint64(iv.First) + 1 - have
	if lost == 0 {
		return 0
	}
	it := b.Iterator()
	it.AdvanceIfNeeded(iv.First)
	for at := uint64(iv.First); at <= uint64(iv.Last); {
		end := uint64(iv.Last) + 1 // first position that was seen, from at on
		if it.HasNext() {
			end = min(end, uint64(it.Next()))
		}
		if end > at {
			gone(glassq.Interval{First: uint32(at), Last: uint32(end - 1)})
		}
		at = end + 1
	}
	return lost
}
