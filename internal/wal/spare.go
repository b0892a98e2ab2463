package wal

import (
	"sync/atomic"
	"time"
)

const (
	spareName = "spare.tmp"
	zeroStep  = 1 << 20   // bytes zeroed and synced at once when the writer may need them soon
	zeroSmall = 256 << 10 // likewise when it does not, so that its Syncs wait little
	zeroPause = 3         // times as long as a small step took, nothing is zeroed after it
	zeroAhead = 4         // times as many bytes as were appended meanwhile is soon enough
)

// A spare is the next segment's file in the making. Its goroutine owns f until done
// is closed.
type spare struct {
	stop chan struct{} // closed: take what is there
	done chan struct{}
	f    File // nil when it could not be made

	failed atomic.Bool
}

// startSpare prepares the next segment in the background. The file is filled with
// real zeros: a sync after a write into blocks that are only reserved also has to
// record that they are in use now. It is done little by little as long as that is
// fast enough: the disk is the same that the appended frames are synced to.
func (l *Log) startSpare() {
	sp := &spare{stop: make(chan struct{}), done: make(chan struct{})}
	l.spare = sp
	size := l.opt.SegmentSize
	l.bg.Go(func() {
		defer close(sp.done)
		f, err := l.fs.Create(spareName)
		if err != nil {
			sp.failed.Store(true)
			l.opt.Logger.Warn("no spare segment", "err", err)
			return
		}
		if err = f.Allocate(0, size); err == nil {
			if err = f.Sync(); err == nil {
				l.spareRoom.Store(size)
			}
		}
		began := l.end.Load()
		timer := time.NewTimer(0)
		defer timer.Stop()
		for off := int64(0); off < size && err == nil; {
			select {
			case <-sp.stop:
				sp.f = f
				return
			case <-timer.C:
			}
			step, ahead := int64(zeroStep), uint64(off) > zeroAhead*(l.end.Load()-began)+zeroStep
			if ahead {
				step = zeroSmall
			}
			step = min(step, size-off)
			at := time.Now()
			if err = f.Zero(off, step); err == nil {
				err = f.Sync()
			}
			off += step
			if ahead {
				timer.Reset(zeroPause * time.Since(at))
			} else {
				timer.Reset(0)
			}
		}
		if err != nil {
			l.spareRoom.Store(0)
			f.Close()
			l.fs.Remove(spareName)
			sp.failed.Store(true)
			if isNoSpace(err) {
				l.full.Store(true) // tried again when Prepare finds room, or by the roll
			} else {
				l.opt.Logger.Warn("no spare segment", "err", err)
			}
			return
		}
		sp.f = f
	})
}

// takeSpare returns the spare's file as far as it is prepared, or nil. It waits for
// one step of preparation at most.
func (l *Log) takeSpare() File {
	sp := l.spare
	if sp == nil {
		return nil
	}
	l.spare = nil
	close(sp.stop)
	<-sp.done
	l.spareRoom.Store(0)
	return sp.f
}
