package disk

import (
	"errors"
	"io"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/state"
	"github.com/glassq/glassq/internal/wal"
)

// checkpointEvery is how many bytes the log grows, at least, between two checkpoints.
const checkpointEvery = 64 << 20

// An image is the state as of a position of the log, up to which the log is durable.
type image struct {
	pos   wal.Pos
	at    uint64 // bytes appended to the log since it was opened
	state *state.Image
	idle  []wal.Segment // no task lies in them
	epoch int           // of those who may still read in them; -1: unknown
}

// takeImage is called with mu held, when the open frame is empty.
func (e *Engine) takeImage() *image {
	im := &image{pos: e.open.pos, at: e.log.Stats().Bytes, state: e.st.Image(), epoch: -1}
	im.idle, _ = e.space.idle()
	if e.readers[1-e.epoch].Load() == 0 {
		im.epoch = e.epoch
		e.epoch = 1 - e.epoch
	}
	return im
}

// checkpoint commits what is open and writes a checkpoint, and then deletes the segments that nobody
// needs any more. Calls go on meanwhile; only taking the image holds the engine's lock.
func (e *Engine) checkpoint() error {
	e.tidying.Lock()
	defer e.tidying.Unlock()
	_, err := e.checkpointAt()
	return err
}

// checkpointAt is checkpoint for who holds tidying; it returns the checkpoint's position.
func (e *Engine) checkpointAt() (wal.Pos, error) {
	e.turns.lead()
	im, err := e.commit(true)
	e.turns.pass()
	if err != nil {
		return 0, err
	}
	size := slow{stop: e.stop}
	err = e.log.WriteCheckpoint(im.pos, func(w io.Writer) error {
		size.w, size.n = w, 0
		return im.state.Write(&size)
	})
	if err != nil {
		return 0, err
	}
	e.ckSize.Store(size.n)
	e.ckAt.Store(im.at)
	return im.pos, e.free(im)
}

// free deletes segments in which no task lay when the image was taken, unless a start that falls back to
// the older checkpoint would replay them or somebody still reads or copies them.
func (e *Engine) free(im *image) error {
	kept := e.log.Checkpoints()
	oldest := kept[len(kept)-1]
	if e.copies > 0 || im.epoch < 0 || e.readers[im.epoch].Load() != 0 {
		return nil
	}
	removed := false
	for _, s := range im.idle {
		if s.End > oldest {
			continue
		}
		if err := e.log.Remove(s.No); err != nil {
			return err
		}
		removed = true
	}
	if removed {
		e.mu.Lock()
		e.space.know(e.log.Segments())
		e.mu.Unlock()
	}
	return nil
}

// checkpointDue tells whether the log has grown enough: by twice what a checkpoint costs to write.
func (e *Engine) checkpointDue() bool {
	return e.log.Stats().Bytes-e.ckAt.Load() >= max(uint64(e.ckEvery()), 2*e.ckSize.Load())
}

func (e *Engine) ckEvery() int64 {
	if e.opt.SegmentSize > 0 {
		return min(e.opt.SegmentSize, checkpointEvery)
	}
	return checkpointEvery
}

const (
	slowFrom = 1 << 20 // bytes that a slow writer writes at once
	slowFor  = 2       // times as long as a write took, nothing is written after it
)

// A slow writer leaves the disk to others for most of the time, until stop is closed. It counts what goes
// through it.
type slow struct {
	w    io.Writer
	n    uint64
	stop chan struct{}
}

func (c *slow) Write(b []byte) (int, error) {
	began := time.Now()
	n, err := c.w.Write(b)
	c.n += uint64(n)
	if took := time.Since(began); c.n > slowFrom && took > time.Millisecond/2 {
		select {
		case <-time.After(slowFor * took):
		case <-c.stop:
		}
	}
	return n, err
}

// stopped tells that the engine takes no work any more.
func stopped(err error) bool {
	return errors.Is(err, glassq.ErrClosed) || glassq.CodeOf(err) == glassq.CodeStorage
}
