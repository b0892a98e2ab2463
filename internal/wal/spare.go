package wal

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
			l.opt.Logger.Warn("no spare segment", "err", err)
			return
		}
		if err = f.Allocate(0, size); err == nil {
			err = f.Sync()
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
		if err != nil { // a full disk, most likely: the roll will try again
			l.opt.Logger.Warn("no spare segment", "err", err)
			f.Close()
			l.fs.Remove(spareName)
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
	return sp.f
}
