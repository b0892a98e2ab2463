package wal

import (
	"errors"
	"io"
	"io/fs"
)

// A Spacer is an FS that knows how much room its disk has, in bytes.
type Spacer interface {
	Space() (free, total int64, err error)
}

// An Inoder is an FS that knows how many files its disk still takes. A total of 0 means that there
// is no such end.
type Inoder interface {
	Inodes() (free, total int64, err error)
}

// ErrNoInodes is wrapped by errors that say that the disk has no room, when what it lacks is not
// bytes.
var ErrNoInodes = errors.New("the file system has no inodes left, whatever bytes are free: remove files from it")

// reserveName is a file of one segment's size that is allocated while there is room and
// kept over restarts. It becomes a segment when the disk has no room for another one, so
// that what shrinks the log can still be written.
const reserveName = "reserve.bin"

// SmallSegment is a segment size that fits a disk of total bytes: a sixteenth of it,
// between 1 MiB and the default.
func SmallSegment(total int64) int64 {
	return min(max(total/16, 1<<20), defaultSegmentSize)
}

// Full tells that the disk refused room: the log lives on what it has allocated. It ends
// when Prepare finds room again.
func (l *Log) Full() bool { return l.full.Load() }

// Room is how many bytes of frames, headers included, can be appended without asking the
// disk for more: in all, and as one frame or several that are not torn between files.
func (l *Log) Room() (total, largest int64) {
	for _, n := range []int64{l.left.Load(), l.spareRoom.Load() - pageSize, l.reserve.Load() - pageSize} {
		if n > 0 {
			total, largest = total+n, max(largest, n)
		}
	}
	return total, largest
}

// Prepare allocates what the log keeps in reserve and ends Full when that works. free is
// the room on the disk, or negative when that is not known. It blocks for an allocation
// and a sync; call it from time to time, from one goroutine. Its error means that the log
// failed; a full disk is none.
func (l *Log) Prepare(free int64) error {
	if err := l.usable(); err != nil {
		return err
	}
	if free >= 0 && free < l.opt.SegmentSize+l.opt.SegmentSize/4 {
		return nil // the reserve would take what the disk has left for others
	}
	l.resMu.Lock()
	defer l.resMu.Unlock()
	if l.reserve.Load() == 0 {
		if err := l.makeReserve(); err != nil {
			if isNoSpace(err) {
				l.full.Store(true)
				return nil
			}
			l.opt.Logger.Warn("no reserve segment", "err", err)
			return nil
		}
	}
	l.full.Store(false)
	return nil
}

// Here fails the log when its active segment has no name any more: somebody has removed the
// directory or what is in it, and what is written goes nowhere. Safe for concurrent use.
func (l *Log) Here() error {
	if err := l.usable(); err != nil {
		return err
	}
	s := l.active()
	f, err := l.fs.Open(s.name())
	if err == nil {
		return f.Close()
	}
	if errors.Is(err, fs.ErrNotExist) && s == l.active() {
		return l.fail("the data was removed under the server", err)
	}
	return nil
}

// makeReserve is called with resMu held.
func (l *Log) makeReserve() error {
	f, err := l.fs.Create(reserveName)
	if err != nil {
		return err
	}
	err = reach(f, 0, l.opt.SegmentSize)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = l.fs.SyncDir()
	}
	if err != nil {
		l.fs.Remove(reserveName)
		return err
	}
	l.reserve.Store(l.opt.SegmentSize)
	return nil
}

// findReserve looks for a reserve that an earlier process left.
func (l *Log) findReserve() {
	f, err := l.fs.Open(reserveName)
	if err != nil {
		return
	}
	defer f.Close()
	page := make([]byte, pageSize)
	n, err := f.ReadAt(page, 0)
	size, serr := f.Size()
	if err != nil && err != io.EOF || serr != nil || n < pageSize || !allZero(page) {
		l.fs.Remove(reserveName) // begun to be used, or never finished
		return
	}
	l.reserve.Store(size)
}

// dropReserve gives the reserve's room back to the disk, for a checkpoint. It tells
// whether there was one.
func (l *Log) dropReserve() bool {
	l.resMu.Lock()
	defer l.resMu.Unlock()
	if l.reserve.Swap(0) == 0 {
		return false
	}
	return l.fs.Remove(reserveName) == nil
}

// room returns a file for a segment with need bytes allocated, page included, and its
// name. On a full disk that is the reserve.
func (l *Log) room(need int64) (f File, tmp string, err error) {
	if f = l.takeSpare(); f != nil {
		if size, err := f.Size(); err == nil && size >= need {
			return f, spareName, nil
		}
		f.Close()
		l.fs.Remove(spareName)
	}
	fresh := func() (File, error) {
		f, err := l.fs.Create(segmentTmp)
		if err != nil {
			return nil, err
		}
		err = f.Allocate(0, max(need, l.opt.SegmentSize))
		if isNoSpace(err) {
			l.full.Store(true)
			err = f.Allocate(0, need)
		}
		if err == nil {
			err = reach(f, 0, need) // no more than that where it has to be written
		}
		if err != nil {
			f.Close()
			l.fs.Remove(segmentTmp)
			return nil, err
		}
		return f, nil
	}
	if f, err = fresh(); err == nil || !isNoSpace(err) {
		return f, segmentTmp, err
	}
	l.full.Store(true)
	l.resMu.Lock()
	defer l.resMu.Unlock()
	size := l.reserve.Swap(0)
	if size >= need {
		if f, rerr := l.fs.Open(reserveName); rerr == nil {
			l.opt.Logger.Warn("disk full: the reserve segment is in use")
			return f, reserveName, nil
		}
	}
	if rerr := l.fs.Remove(reserveName); rerr != nil && !errors.Is(rerr, fs.ErrNotExist) {
		return nil, "", err
	}
	f, err = fresh()
	return f, segmentTmp, err
}
