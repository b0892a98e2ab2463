package disk

import (
	"sync"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/engine"
	"github.com/glassq/glassq/internal/wal"
)

const (
	spaceEvery = time.Second // how often the free room of the disk is looked at
	resumeAt   = 1.5         // times the watermark: puts are taken again
	fewInodes  = 16          // below so many that are left, or a quarter of all, puts are refused
	roomSlack  = 16 << 10    // bytes of a frame's header, time records and lease numbers, generously
)

// A Watermark is how much of the disk stays free: below it puts are refused. The zero
// value is the default: 5 % of the disk or 1 GiB, whichever is more, but never more than
// a quarter of the disk.
type Watermark struct {
	Bytes   int64   // used when it is not 0; negative means none
	Percent float64 // of the disk; used when it is not 0
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

// A volume is what the log knows of its disk's room.
type volume struct {
	disk   wal.Spacer // nil: of a kind that has no end; never changed
	inodes wal.Inoder // nil: not known; never changed

	mu      sync.Mutex // guards everything below; a leaf
	free    int64      // when it was last looked at
	min     Watermark  // as it is set
	mark    int64      // the watermark in bytes; 0 for none
	low     bool       // puts are refused
	few     bool       // inodes are left: puts are refused
	full    bool       // the log lives on its reserve
	next    time.Time  // when to look again
	segment uint64     // number of the active segment then
}

// nextLook is when to look at the disk again.
func (v *volume) nextLook() time.Time {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.next
}

// SetMinFree changes how much of the disk stays free, at the next look at it, at most a second later.
func (e *Engine) SetMinFree(w Watermark) {
	v := &e.log.volume
	v.mu.Lock()
	defer v.mu.Unlock()
	v.min = w
}

// storage is the word for Stats. The caller holds mu.
func (v *volume) storage() string {
	switch {
	case v.full:
		return glassq.StorageFull
	case v.low, v.few:
		return glassq.StorageLow
	}
	return glassq.StorageOK
}

// lookAtSpace looks at the disk, refuses or takes puts, and prepares the log's reserve.
// One goroutine at a time calls it.
func (l *log) lookAtSpace() {
	v := &l.volume
	if v.disk == nil || l.here(0) != nil { // Failed tells
		return
	}
	free, total, err := v.disk.Space()
	if err != nil {
		l.opt.Logger.Warn("free space is not known", "err", err)
		free, total = -1, 0
	}
	few, ierr := v.lacksInodes()
	l.wal.Prepare(free) // a failed log says so by Failed
	full := l.wal.Full()

	v.mu.Lock()
	mark, was := v.min.Of(total), v.storage()
	v.next = time.Now().Add(spaceEvery)
	if err == nil {
		v.free, v.mark = free, mark
		switch {
		case free < mark:
			v.low = true
		case float64(free) >= resumeAt*float64(mark):
			v.low = false
		}
	}
	if ierr == nil {
		v.few = few
	}
	v.full = full
	is := v.storage()
	l.engine.SetTight(is != glassq.StorageOK)
	v.mu.Unlock()
	l.tellSpace(was, is, free, mark, few)
}

// lacksInodes tells whether the disk takes hardly another file, which the log needs for its next
// segment. After that it has to take twice as many.
func (v *volume) lacksInodes() (bool, error) {
	if v.inodes == nil {
		return false, nil
	}
	free, total, err := v.inodes.Inodes()
	v.mu.Lock()
	defer v.mu.Unlock()
	least := min(fewInodes, total/4)
	if v.few {
		least *= 2
	}
	return free < least, err
}

// tellSpace logs a change, once.
func (l *log) tellSpace(was, is string, free, mark int64, few bool) {
	switch {
	case was == is:
	case is != glassq.StorageOK && few:
		l.opt.Logger.Error("the file system is out of inodes, whatever bytes are free: puts are refused; remove files from it",
			"free", free)
	case is == glassq.StorageOK:
		l.opt.Logger.Info("disk has room again, puts are taken", "free", free, "min_free", mark)
	case is == glassq.StorageFull:
		l.opt.Logger.Error("disk full: puts are refused, what shrinks the queues goes on in the reserve", "free", free)
	default:
		l.opt.Logger.Warn("disk nearly full: puts are refused, everything else goes on", "free", free, "min_free", mark)
	}
}

// afterAppend notices at once when an append or a roll found the disk full.
func (l *log) afterAppend() {
	v := &l.volume
	if v.disk == nil {
		return
	}
	last := l.wal.Active()
	v.mu.Lock()
	rolled := last != v.segment
	v.segment = last
	full := l.wal.Full()
	changed := full != v.full
	if rolled || changed {
		v.next = time.Now()
	}
	if changed && full {
		v.full = true
		l.engine.SetTight(true)
	}
	free, mark, next, few := v.free, v.mark, v.next, v.few
	v.mu.Unlock()
	if changed && full {
		l.tellSpace(glassq.StorageOK, glassq.StorageFull, free, mark, few)
	}
	if rolled || changed {
		l.engine.CallIdle(next)
	}
}

// Room refuses what the disk has no room for: what grows the store below the watermark, and
// anything that the log's reserve does not hold once that is in use. An ack with a result leaves a
// quarter of it.
func (l *log) Room(kind engine.Kind, size int) error {
	v := &l.volume
	v.mu.Lock()
	defer v.mu.Unlock()
	if kind == engine.Grows && v.few {
		return glassq.Errorf(glassq.CodeStorageFull, "the file system has no inodes left, whatever bytes are free: "+
			"remove files from it; reserves and acks go on, and puts when there are some again")
	}
	if kind == engine.Grows && (v.low || v.full) {
		return glassq.Errorf(glassq.CodeStorageFull,
			"the disk is nearly full: %d bytes are free and %d are to stay so (serve --min-free); "+
				"reserves and acks go on, and puts when there is room again", max(v.free, 0), v.mark)
	}
	if !v.full {
		return nil
	}
	total, largest := l.wal.Room()
	used, keep := int64(size+roomSlack), int64(0)
	if kind == engine.Answers {
		keep = l.segmentSize / 4
	}
	if used+keep > total || used > largest {
		return glassq.Errorf(glassq.CodeStorageFull,
			"the disk is full, and so is the reserve that the log keeps for acks; make room on it, or purge a queue and wait")
	}
	return nil
}
