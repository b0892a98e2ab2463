package engine

import (
	"github.com/glassq/glassq/internal/state"
)

// An image is the state as of a place in the log.
type image struct {
	id    uint64 // of the frame that comes next
	frame uint64 // number of the frame that is to be done before: nothing in the state is newer
	at    uint64 // bytes committed since the start
	state *state.Image
	idle  []Extent // no task lies in them
	epoch int      // of those who may still read in them; -1: unknown
}

// takeImage is called with mu held, when the open frame is empty.
func (e *Engine) takeImage() *image {
	im := &image{id: e.open.ID, frame: e.newest(), at: e.written.Load(), state: e.st.Image(), epoch: -1}
	im.idle, _ = e.space.Idle()
	if e.readers[1-e.epoch].Load() == 0 {
		im.epoch = e.epoch
		e.epoch = 1 - e.epoch
	}
	return im
}

// Checkpoint commits what is open and writes a checkpoint, and then frees the extents that nobody
// needs any more. Calls go on meanwhile; only taking the image holds the engine's lock. then, which
// may be nil, is called with the id of the checkpoint before another one is written: a log's owner
// holds on to it there.
func (e *Engine) Checkpoint(then func(at uint64) error) error {
	e.tidying <- struct{}{}
	defer func() { <-e.tidying }()
	e.mu.Lock()
	err := e.err
	e.mu.Unlock()
	if err != nil { // Close, which takes its turn after this, writes the last one
		return err
	}
	return e.checkpoint(then)
}

// checkpoint is Checkpoint for Close too. The caller holds tidying.
func (e *Engine) checkpoint(then func(at uint64) error) error {
	e.turns.lead()
	im, err := e.commit(true)
	e.turns.pass()
	if err != nil {
		return err
	}
	if err := e.wait(im.frame); err != nil {
		return err
	}
	oldest, size, err := e.log.Checkpoint(im.id, im.state.Write)
	if err != nil {
		return err
	}
	e.ckSize.Store(size)
	e.ckAt.Store(im.at)
	if err = e.free(im, oldest); err == nil && then != nil {
		err = then(im.id)
	}
	return err
}

// free gives up the extents in which no task lay when the image was taken, unless a start that
// falls back to the oldest checkpoint would replay them or somebody still reads in them.
func (e *Engine) free(im *image, oldest uint64) error {
	if im.epoch < 0 || e.readers[im.epoch].Load() != 0 {
		return nil
	}
	freed := false
	for _, x := range im.idle {
		if x.End > oldest {
			continue
		}
		if err := e.log.Free(x); err != nil {
			return err
		}
		freed = true
	}
	if freed {
		e.mu.Lock()
		e.space.Know(e.log.Extents())
		e.mu.Unlock()
	}
	return nil
}

// checkpointDue tells whether the log has grown enough: by twice what a checkpoint costs to write.
func (e *Engine) checkpointDue() bool { return e.written.Load()-e.ckAt.Load() >= e.worth() }

// worth is how many bytes of the log a checkpoint is worth writing for.
func (e *Engine) worth() uint64 { return max(uint64(e.opt.CheckpointEvery), 2*e.ckSize.Load()) }
