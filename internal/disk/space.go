package disk

import (
	"sort"

	"github.com/glassq/glassq/internal/wal"
)

// space counts what still lives in each segment of the log: the tasks whose bodies lie there. Records of
// leases, acks and the like are never counted, so what a segment has beside live tasks is garbage. It is
// kept up with every record that is applied; the engine's mu guards it.
type space struct {
	segs  []segSpace // by position; the last one takes whatever comes after it
	last  int        // the one used last: neighbours mostly follow each other
	bytes int64      // live in all of them
	lost  int64      // tasks in no segment, see add
}

type segSpace struct {
	wal.Segment
	tasks   int64
	bytes   int64
	damaged bool // a body did not read: left alone
}

// know takes over the segments of the log. Those that are new begin with no task; tasks that were counted
// in the one before and lie in the new one must not exist.
func (s *space) know(list []wal.Segment) {
	old := s.segs
	s.segs = make([]segSpace, 0, len(list))
	for _, seg := range list {
		for len(old) > 0 && old[0].No < seg.No {
			old = old[1:]
		}
		x := segSpace{Segment: seg}
		if len(old) > 0 && old[0].No == seg.No {
			x = old[0]
			x.Segment = seg
		}
		s.segs = append(s.segs, x)
	}
	s.last = 0
}

// find returns the segment that a frame lies in, or nil.
func (s *space) find(pos wal.Pos) *segSpace {
	in := func(i int) bool {
		x := &s.segs[i]
		return pos >= x.First && (pos < x.End || i == len(s.segs)-1)
	}
	if s.last < len(s.segs) && in(s.last) {
		return &s.segs[s.last]
	}
	i := sort.Search(len(s.segs), func(i int) bool { return s.segs[i].First > pos }) - 1
	if i < 0 || !in(i) {
		return nil
	}
	s.last = i
	return &s.segs[i]
}

// add counts tasks and bytes at a frame.
func (s *space) add(frame uint64, tasks, bytes int64) {
	s.bytes += bytes
	x := s.find(wal.Pos(frame * 8))
	if x == nil {
		// Only while a snapshot is read: the task was moved or done later, or the log is damaged.
		s.lost += tasks
		return
	}
	x.tasks += tasks
	x.bytes += bytes
}

// idle tells which sealed segments have no task.
func (s *space) idle() (list []wal.Segment, bytes int64) {
	for i := range s.segs {
		if x := &s.segs[i]; x.Sealed && x.tasks == 0 {
			list = append(list, x.Segment)
			bytes += x.Bytes
		}
	}
	return list, bytes
}

const (
	sparse = 4 // a segment of which less than 1/sparse lives is always worth moving
	// The whole log is kept below wasteNum/wasteDen of what lives in it, by moving the segments of which
	// the least lives, as long as that frees more than mostLive leaves.
	wasteNum, wasteDen = 7, 4
	mostLive           = 60 // per cent
)

// next chooses a segment whose survivors are to be moved: a mostly dead one always, any other while the
// log as a whole holds too much that is dead. ok is false when the log is fine as it is.
func (s *space) next() (seg wal.Segment, ok bool) {
	var total int64
	best := -1
	share := func(i int) int64 { return s.segs[i].bytes * 100 / max(s.segs[i].Bytes, 1) }
	for i := range s.segs {
		x := &s.segs[i]
		if !x.Sealed || x.tasks == 0 || x.damaged {
			if x.tasks > 0 {
				total += x.Bytes
			}
			continue
		}
		total += x.Bytes
		if best < 0 || share(i) < share(best) {
			best = i
		}
	}
	if best < 0 {
		return seg, false
	}
	x := &s.segs[best]
	if x.bytes*sparse < x.Bytes || total*wasteDen > s.bytes*wasteNum && share(best) < mostLive {
		return x.Segment, true
	}
	return seg, false
}
