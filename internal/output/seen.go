package output

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

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

// missing returns how many positions of iv are not in b, and appends them to ids, at most most of
// them.
func missing(b *roaring.Bitmap, iv glassq.Interval, ids []glassq.Interval, most int) (uint64, []glassq.Interval) {
	have := b.Rank(iv.Last)
	if iv.First > 0 {
		have -= b.Rank(iv.First - 1)
	}
	lost := uint64(iv.Last) - uint64(iv.First) + 1 - have
	if lost == 0 {
		return 0, ids
	}
	it := b.Iterator()
	it.AdvanceIfNeeded(iv.First)
	for at := uint64(iv.First); at <= uint64(iv.Last) && len(ids) < most; {
		end := uint64(iv.Last) + 1 // first position that was seen, from at on
		if it.HasNext() {
			end = min(end, uint64(it.Next()))
		}
		if end > at {
			ids = append(ids, glassq.Interval{First: uint32(at), Last: uint32(end - 1)})
		}
		at = end + 1
	}
	return lost, ids
}

// maxFileLine is the longest line that LoadSeen accepts: the largest result, escaped to the utmost.
const maxFileLine = 6*glassq.HardMaxBody + 64<<10

// LoadSeen reads NDJSON that an earlier output wrote, and notes its results of run, or of all runs
// when run is "". It returns how many bytes of r are whole lines: a last line without its end was
// torn by a crash, was never acked, and is to be cut off before writing goes on. A whole line that is
// no JSON object with an id is an error that names the line: then r is some other file.
func LoadSeen(r io.Reader, run string) (seen *Seen, valid int64, err error) {
	seen = new(Seen)
	in := bufio.NewReaderSize(r, 256<<10)
	var long []byte
	for line := 1; ; line++ {
		long = long[:0]
		b, err := in.ReadSlice('\n')
		for errors.Is(err, bufio.ErrBufferFull) && len(long) <= maxFileLine {
			long = append(long, b...)
			b, err = in.ReadSlice('\n')
		}
		if len(long) > 0 {
			long = append(long, b...)
			b = long
		}
		switch {
		case err == io.EOF:
			return seen, valid, nil
		case len(b) > maxFileLine:
			return nil, valid, fmt.Errorf("line %d is longer than any result; this is not a file of results", line)
		case err != nil:
			return nil, valid, fmt.Errorf("after line %d: %w", line-1, err)
		}
		id, ofRun, ok := lineID(b)
		if !ok {
			return nil, valid, fmt.Errorf("line %d (byte %d) is no result: no JSON object with an id", line, valid)
		}
		valid += int64(len(b))
		if of, n, ok := glassq.ParseDenseID(id); ok && of == ofRun && (run == "" || run == of) {
			seen.add(of, n)
		}
	}
}

// lineID reads id and run of a line. Lines of our own have them in front.
func lineID(b []byte) (id, run string, ok bool) {
	b = bytes.TrimSpace(b)
	n := 0
	end, ok := scanMembers(b, 0, 1, func(key []byte, _, v span) {
		if n++; n > 2 && id != "" {
			return // of two members with one name, ours came first
		}
		var dst *string
		switch string(key) {
		case "id":
			dst = &id
		case "run":
			dst = &run
		default:
			return
		}
		val := b[v.start:v.end]
		if val[0] != '"' {
			return
		}
		if bytes.IndexByte(val, '\\') < 0 {
			*dst = string(val[1 : len(val)-1])
		} else {
			json.Unmarshal(val, dst) // a string, as scanned; what it cannot hold is no id of ours
		}
	})
	return id, run, ok && end == len(b) && id != ""
}
