package disk

import "sync"

// A turns lets one goroutine at a time commit, and tells the others how far frames are committed. A frame
// is known by its number, so it may be filled anew while those who waited for it are still on their way.
// Frames are written in the order of their numbers, which have no gaps while the log has not failed.
//
// At any time there is one frame that is filled and at most one before it that is written, so two places
// to wait at are enough to wake nobody in vain. Safe for concurrent use. Where Engine.mu is held too, it is
// taken first.
type turns struct {
	mu      sync.Mutex // guards everything below; held for moments
	leading bool       // somebody has the right to commit
	filled  uint64     // the newest frame that takes no more records
	written uint64     // frames up to this one are written: a killed process does not lose them
	done    uint64     // frames up to this one are as durable as the mode says
	stopped bool       // nobody waits for room any more
	err     error      // why frames after done, or after written, will not get there

	// Who waits for a frame, by its number modulo 2.
	forWritten, forDone [2]sync.Cond
	forRoom             sync.Cond // for a frame that is being filled to be taken for writing
	forLead             sync.Cond // for the right to commit, whatever is in the frame
}

func (t *turns) init() {
	for _, c := range []*sync.Cond{&t.forWritten[0], &t.forWritten[1], &t.forDone[0], &t.forDone[1], &t.forRoom, &t.forLead} {
		c.L = &t.mu
	}
}

// lead waits until nobody else has the right to commit, and takes it.
func (t *turns) lead() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for t.leading {
		t.forLead.Wait()
	}
	t.leading = true
}

// pass gives up the right to commit.
func (t *turns) pass() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.passLocked()
}

// passLocked wakes one of each kind of those who may go on: whoever comes first leads, and passes in turn.
func (t *turns) passLocked() {
	t.leading = false
	next := (t.done + 1) % 2
	t.forDone[next].Signal()
	t.forWritten[next].Signal()
	t.forRoom.Signal()
	t.forLead.Signal()
}

// wait returns when the frame is as durable as the mode says, or with why it never will be. When nobody
// commits, it does, by calling commit. Frame 0 is no frame.
func (t *turns) wait(frame uint64, commit func()) error {
	return t.until(&t.done, &t.forDone, frame, commit)
}

// waitWritten is wait for a frame to be written.
func (t *turns) waitWritten(frame uint64, commit func()) error {
	return t.until(&t.written, &t.forWritten, frame, commit)
}

func (t *turns) until(reached *uint64, cond *[2]sync.Cond, frame uint64, commit func()) error {
	if frame == 0 {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for {
		switch {
		case *reached >= frame:
			return nil
		case t.err != nil:
			return t.err
		case t.leading:
			cond[frame%2].Wait()
		default:
			t.ledBy(commit)
		}
	}
}

// ledBy calls commit with the right to; mu is held before and after.
func (t *turns) ledBy(commit func()) {
	t.leading = true
	t.mu.Unlock()
	commit()
	t.mu.Lock()
	t.passLocked()
}

// room returns when the frame takes no more records, or when nobody is to wait any more.
func (t *turns) room(frame uint64, commit func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for t.filled < frame && t.err == nil && !t.stopped {
		if t.leading {
			t.forRoom.Wait()
		} else {
			t.ledBy(commit)
		}
	}
}

// taken notes that a frame takes no more records.
func (t *turns) taken(frame uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.filled = frame
	t.forRoom.Broadcast()
}

// wrote notes that a frame is written.
func (t *turns) wrote(frame uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.written = frame
	t.forWritten[frame%2].Broadcast()
}

// did notes that a frame is as durable as the mode says.
func (t *turns) did(frame uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.done = frame
	t.forDone[frame%2].Broadcast()
}

// stop ends all waiting for room.
func (t *turns) stop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stopped = true
	t.forRoom.Broadcast()
}

// fail ends all waiting with err, which sticks.
func (t *turns) fail(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.err = err
	for i := range 2 {
		t.forWritten[i].Broadcast()
		t.forDone[i].Broadcast()
	}
	t.forRoom.Broadcast()
}
