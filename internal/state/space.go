package state

import "sort"

// An Extent is a part of a log that is freed as a whole. Frames with First <= id < End lie in it.
type Extent struct {
	No         uint64 // names it
	First, End uint64
	Frames     int64 // bytes of frames in it
	Bytes      int64 // what freeing it gives back
	Sealed     bool  // takes no more frames
}

// A Living counts the tasks whose bodies lie in a part of a log.
type Living struct {
	Tasks int64
	Bytes int64 // about what their records take, see Hooks.Live
	Extra int64 // what the records take beside that, as far as it is known: most of it is the ids
}

// Add counts more, or less, which takes its share of Extra with it.
func (l *Living) Add(x Living) {
	if x.Tasks < 0 && l.Tasks > 0 {
		x.Extra = -l.Extra * min(-x.Tasks, l.Tasks) / l.Tasks
	}
	l.Tasks += x.Tasks
	l.Bytes += x.Bytes
	l.Extra += x.Extra
}

// size is what lives in it.
func (l *Living) size() int64 { return l.Bytes + l.Extra }

// A Space counts what still lives in each extent of the log: the tasks whose bodies lie there.
// Records of leases, acks and the like are never counted, so what an extent has beside live tasks
// is garbage. It is kept up by Hooks.Live and Hooks.Dropped, and guarded by whoever guards the
// State.
type Space struct {
	list  []extentSpace // by position; the last one takes whatever comes after it
	last  int           // the one used last: neighbours mostly follow each other
	Bytes int64         // live in all of them, but for the extra
	Lost  int64         // tasks in no extent, see Add

	// FrontOnly: an extent can be freed only when those before it are. It is set before the first
	// use.
	FrontOnly bool
}

type extentSpace struct {
	Extent
	living  Living
	damaged bool // a body did not read: left alone
}

// Know takes over the extents of the log. Those that are new begin with no task; tasks that were
// counted in the one before and lie in the new one must not exist. An extent is known by its first
// id: one that a start wrote anew has another number and holds the same.
func (s *Space) Know(list []Extent) {
	old := s.list
	s.list = make([]extentSpace, 0, len(list))
	for _, is := range list {
		for len(old) > 0 && old[0].First < is.First {
			old = old[1:]
		}
		x := extentSpace{Extent: is}
		if len(old) > 0 && old[0].First == is.First {
			x = old[0]
			x.Extent = is
		}
		s.list = append(s.list, x)
	}
	s.last = 0
}

// find returns the extent that a frame lies in, or nil.
func (s *Space) find(frame uint64) *extentSpace {
	in := func(i int) bool {
		x := &s.list[i]
		return frame >= x.First && (frame < x.End || i == len(s.list)-1)
	}
	if s.last < len(s.list) && in(s.last) {
		return &s.list[s.last]
	}
	i := sort.Search(len(s.list), func(i int) bool { return s.list[i].First > frame }) - 1
	if i < 0 || !in(i) {
		return nil
	}
	s.last = i
	return &s.list[i]
}

// Add counts what lives at a frame.
func (s *Space) Add(frame uint64, more Living) {
	s.Bytes += more.Bytes
	x := s.find(frame)
	if x == nil {
		// Only while a snapshot is read: the task was moved or done later, or the log is damaged.
		s.Lost += more.Tasks
		return
	}
	x.living.Add(more)
}

// Idle tells which sealed extents have no task and can be freed.
func (s *Space) Idle() (list []Extent, bytes int64) {
	for i := range s.list {
		if x := &s.list[i]; x.Sealed && x.living.Tasks == 0 {
			list = append(list, x.Extent)
			bytes += x.Bytes
		} else if s.FrontOnly {
			break
		}
	}
	return list, bytes
}

const (
	sparse = 4 // an extent of which less than 1/sparse lives is always worth moving
	// The whole log is kept below wasteNum/wasteDen of what lives in it, by moving the extents of
	// which the least lives, as long as that frees more than mostLive leaves.
	wasteNum, wasteDen = 7, 4
	mostLive           = 60 // per cent
)

// front chooses the oldest extent while the log is larger than twice what lives in it.
func (s *Space) front() (is Extent, ok bool) {
	total, live := int64(0), s.Bytes
	for i := range s.list {
		total += s.list[i].Frames
		live += s.list[i].living.Extra
	}
	for i := range s.list {
		if x := &s.list[i]; x.Sealed && x.living.Tasks > 0 {
			return x.Extent, total > 2*live && !x.damaged
		} else if !x.Sealed {
			break
		}
	}
	return is, false
}

// Next chooses an extent whose survivors are to be moved: a mostly dead one always, any other while
// the log as a whole holds too much that is dead. ok is false when the log is fine as it is.
func (s *Space) Next() (is Extent, ok bool) {
	if s.FrontOnly {
		return s.front()
	}
	total, live := int64(0), s.Bytes
	best := -1
	share := func(i int) int64 { return s.list[i].living.size() * 100 / max(s.list[i].Frames, 1) }
	for i := range s.list {
		x := &s.list[i]
		live += x.living.Extra
		if !x.Sealed || x.living.Tasks == 0 || x.damaged {
			if x.living.Tasks > 0 {
				total += x.Frames
			}
			continue
		}
		total += x.Frames
		if best < 0 || share(i) < share(best) {
			best = i
		}
	}
	if best < 0 {
		return is, false
	}
	x := &s.list[best]
	if x.living.size()*sparse < x.Frames || total*wasteDen > live*wasteNum && share(best) < mostLive {
		return x.Extent, true
	}
	return is, false
}

// Leave has Next pass over an extent, of which a body did not read.
func (s *Space) Leave(is Extent) {
	if x := s.find(is.First); x != nil && x.No == is.No {
		x.damaged = true
	}
}
