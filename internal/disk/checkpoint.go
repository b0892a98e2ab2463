package disk

import (
	"bytes"
	"io"

	"github.com/glassq/glassq/internal/wal"
)

// checkpointEvery is how many bytes the log grows, at least, between two checkpoints.
const checkpointEvery = 64 << 20

// An image is the state as of a position of the log, to be published once the log is durable up to it.
type image struct {
	pos   wal.Pos
	bytes bytes.Buffer
	idle  []wal.Segment // no task lies in them
	err   error
}

// takeImage is called with mu held, when the open frame is empty.
func (e *Engine) takeImage() *image {
	im := &image{pos: e.open.pos}
	im.err = e.st.Snapshot(&im.bytes)
	for _, s := range e.log.Segments() {
		if s.Sealed && s.End <= im.pos && !e.live.any(s.First, s.End) {
			im.idle = append(im.idle, s)
		}
	}
	return im
}

// checkpoint commits what is open and writes a checkpoint. The caller leads.
func (e *Engine) checkpoint() error { return e.commit(true) }

// publish writes the checkpoint and deletes the segments that neither it nor the one before needs.
func (e *Engine) publish(im *image) error {
	if im.err != nil {
		return im.err
	}
	if err := e.log.Sync(); err != nil {
		e.mu.Lock()
		e.fail(failure(err))
		e.mu.Unlock()
		return failure(err)
	}
	size := uint64(im.bytes.Len())
	err := e.log.WriteCheckpoint(im.pos, func(w io.Writer) error {
		_, err := w.Write(im.bytes.Bytes()) // may be called twice
		return err
	})
	if err != nil {
		return err
	}
	e.ckSize, e.ckAt = size, e.log.Stats().Bytes
	kept := e.log.Checkpoints()
	oldest := kept[len(kept)-1]
	for _, s := range im.idle {
		// A start that has to fall back to the older checkpoint replays from there.
		if s.End <= oldest {
			if err := e.log.Remove(s.No); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkpointDue tells whether the log has grown enough: by twice what a checkpoint costs to write.
func (e *Engine) checkpointDue() bool {
	return e.log.Stats().Bytes-e.ckAt >= max(uint64(e.ckEvery()), 2*e.ckSize)
}

func (e *Engine) ckEvery() int64 {
	if e.opt.SegmentSize > 0 {
		return min(e.opt.SegmentSize, checkpointEvery)
	}
	return checkpointEvery
}
