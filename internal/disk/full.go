package disk

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/state"
	"github.com/glassq/glassq/internal/wal"
)

const (
	spaceEvery = time.Second // how often the free room of the disk is looked at
	resumeAt   = 1.5         // times the watermark: puts are taken again
	roomSlack  = 16 << 10    // bytes of a frame's header, time records and lease numbers, generously
)

// A Watermark is how much of the disk stays free: below it puts are refused. The zero
// value is the default: 5 % of the disk or 1 GiB, whichever is more, but never more than
// a quarter of the disk.
type Watermark struct {
	Bytes   int64   // used when it is not 0; negative means none
	Percent float64 // of the disk; used when it is not 0
}

// ParseWatermark reads a size in bytes, a size like 512MiB, a percentage like 5%, or 0
// for none.
func ParseWatermark(s string) (Watermark, error) {
	if p, ok := strings.CutSuffix(s, "%"); ok {
		v, err := strconv.ParseFloat(strings.TrimSpace(p), 64)
		if err != nil || !(v > 0 && v <= 90) {
			return Watermark{}, fmt.Errorf("%q is not a share between 0%% and 90%%", s)
		}
		return Watermark{Percent: v}, nil
	}
	digits, unit := s, int64(1)
	for _, u := range []struct {
		name string
		size int64
	}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}} {
		if d, ok := strings.CutSuffix(s, u.name); ok {
			digits, unit = strings.TrimSpace(d), u.size
			break
		}
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n < 0 || n > 1<<50/unit {
		return Watermark{}, fmt.Errorf("%q is not a size like 512MiB or a share like 5%%", s)
	}
	if n == 0 {
		n = -1
	}
	return Watermark{Bytes: n * unit}, nil
}

// Of is the watermark of a disk of total bytes, in bytes; 0 means none.
func (w Watermark) Of(total int64) int64 {
	switch {
	case w.Bytes < 0:
		return 0
	case w.Bytes > 0:
		return w.Bytes
	case w.Percent > 0:
		return int64(float64(total) * w.Percent / 100)
	}
	return min(max(total/20, 1<<30), total/4)
}

// A volume is what the engine knows of its disk's room. Engine.mu guards it.
type volume struct {
	disk     wal.Spacer // nil: of a kind that has no end
	free     int64      // when it was last looked at
	mark     int64      // the watermark; 0 for none
	low      bool       // puts are refused
	full     bool       // the log lives on its reserve
	next     time.Time  // when to look again
	segments uint64     // number of the active segment then
}

// storage is the word for Stats.
func (s *volume) storage() string {
	switch {
	case s.full:
		return glassq.StorageFull
	case s.low:
		return glassq.StorageLow
	}
	return glassq.StorageOK
}

// lookAtSpace looks at the disk, refuses or takes puts, and prepares the log's reserve.
// One goroutine at a time calls it, without mu.
func (e *Engine) lookAtSpace() {
	if e.volume.disk == nil {
		return
	}
	free, total, err := e.volume.disk.Space()
	if err != nil {
		e.opt.Logger.Warn("free space is not known", "err", err)
		free, total = -1, 0
	}
	e.log.Prepare(free) // a failed log says so by Failed
	full := e.log.Full()
	mark := e.opt.MinFree.Of(total)

	e.mu.Lock()
	s := &e.volume
	was := s.storage()
	s.next = time.Now().Add(spaceEvery)
	if err == nil {
		s.free, s.mark = free, mark
		switch {
		case free < mark:
			s.low = true
		case float64(free) >= resumeAt*float64(mark):
			s.low = false
		}
	}
	s.full = full
	is := s.storage()
	e.mu.Unlock()
	e.tellSpace(was, is, free, mark)
}

// tellSpace logs a change, once.
func (e *Engine) tellSpace(was, is string, free, mark int64) {
	switch {
	case was == is:
	case is == glassq.StorageOK:
		e.opt.Logger.Info("disk has room again, puts are taken", "free", free, "min_free", mark)
	case is == glassq.StorageFull:
		e.opt.Logger.Error("disk full: puts are refused, what shrinks the queues goes on in the reserve", "free", free)
	default:
		e.opt.Logger.Warn("disk nearly full: puts are refused, everything else goes on", "free", free, "min_free", mark)
	}
}

// afterAppend notices at once when an append or a roll found the disk full.
func (e *Engine) afterAppend() {
	if e.volume.disk == nil {
		return
	}
	last := e.log.Active()
	e.mu.Lock()
	rolled := last != e.volume.segments
	e.volume.segments = last
	changed := e.log.Full() != e.volume.full
	if rolled || changed {
		e.volume.next = time.Time{}
	}
	if changed && e.log.Full() {
		e.volume.full = true
	}
	free, mark := e.volume.free, e.volume.mark
	e.mu.Unlock()
	if changed && e.log.Full() {
		e.tellSpace(glassq.StorageOK, glassq.StorageFull, free, mark)
	}
	if rolled || changed {
		e.nudge()
	}
}

// A kind of change, by what it does to the disk.
type change int

const (
	grows   change = iota // puts and follow-ups
	answers               // acks with a result: they may use the reserve, but for a quarter
	shrinks               // everything else: it may use all that is left
)

// roomOn refuses a change of size bytes of records for which the disk has no room. The
// caller holds mu.
func (e *Engine) roomOn(kind change, size int) error {
	s := &e.volume
	if kind == grows && (s.low || s.full) {
		return glassq.Errorf(glassq.CodeStorageFull,
			"the disk is nearly full: %d bytes are free and %d are to stay so (serve --min-free); "+
				"reserves and acks go on, and puts when there is room again", max(s.free, 0), s.mark)
	}
	if !s.full {
		return nil
	}
	total, largest := e.log.Room()
	used := int64(len(e.open.buf) + size + roomSlack)
	if e.flying != nil {
		used += int64(len(e.flying.buf))
	}
	keep := int64(0)
	if kind == answers {
		keep = e.segmentSize / 4
	}
	if used+keep > total || used > largest {
		return glassq.Errorf(glassq.CodeStorageFull,
			"the disk is full, and so is the reserve that the log keeps for acks; make room on it, or purge a queue and wait")
	}
	return nil
}

// reclaimDue tells whether the keeper is to write checkpoints for the segments that can go after them: on
// a full disk the log hardly grows, so that no other would be due. The caller is the background loop.
func (e *Engine) reclaimDue(now time.Time) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.err != nil || !e.volume.tight() || e.reclaimAt.After(now) {
		return false
	}
	if _, dead := e.space.idle(); dead == 0 {
		return false
	}
	e.reclaimAt = now.Add(spaceEvery)
	e.volume.next = time.Time{}
	if e.roomOn(shrinks, 16) == nil {
		// Two checkpoints have to be past a segment before it goes, at two positions.
		e.append(state.AppendNumbers(nil, e.st.Limit()))
	}
	return true
}

// tight tells that puts are refused.
func (s *volume) tight() bool { return s.low || s.full }
