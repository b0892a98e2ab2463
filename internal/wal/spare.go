package wal

import "sync/atomic"

const (
	spareName = "spare.tmp"
	zeroStep  = 1 << 20 // bytes zeroed and synced at once, so that Syncs wait little
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
// record that they are in use now.
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
		for off := int64(0); off < size && err == nil; off += zeroStep {
			select {
			case <-sp.stop:
				sp.f = f
				return
			default:
			}
			if err = f.Zero(off, min(zeroStep, size-off)); err == nil {
				err = f.Sync()
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
