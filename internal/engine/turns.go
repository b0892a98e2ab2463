package engine

import (
	"sync"
	"time"

	"github.com/glassq/glassq/internal/patience"
)

// A turns lets one goroutine at a time commit, and tells the others how far frames are committed. A
// frame is known by its number, so it may be filled anew while those who waited for it are still on
// their way. Frames are committed in the order of their numbers, which have no gaps while the log
// has not failed.
//
// At any time there is one frame that is filled and at most a window of them before it that are
// with the log, so one place more than the window to wait at is enough to wake nobody in vain. Safe
// for concurrent use. Where Engine.mu is held too, it is taken first.
type turns struct {
	mu      sync.Mutex // guards everything below; held for moments
	leading bool       // somebody has the right to commit
	window  int        // frames that may be with the log at a time; never changed
	flying  int        // frames that are
	filled  uint64     // the newest frame that takes no more records
	written uint64     // frames up to this one are written: a killed process does not lose them
	done    uint64     // frames up to this one are as durable as the log promises
	stopped bool       // nobody waits for room any more
	err     error      // why frames after filled will never be committed

	patience patience.Patience // of who leads, where one frame is with the log at a time
	joined   int               // callers that wait for the frame that is filled to be done
	sent     int               // that did for the one before
	full     bool              // somebody waits for room in it, so it is not worth to wait for others
	began    time.Time         // when filled was given to the log

	places  []place   // by the number of a frame modulo their number
	forRoom sync.Cond // for a frame that is being filled to be taken for writing
	forLead sync.Cond // for the right to commit, whatever is in the frame
	forNone sync.Cond // for no frame to be with the log
}

// A place is where those wait who wait for a frame.
type place struct {
	written, done sync.Cond
	lost          uint64 // the frame that failed here, or 0
	err           error  // why
}

func (t *turns) init(window int) {
	t.window, t.places = window, make([]place, window+1)
	for i := range t.places {
		t.places[i].written.L, t.places[i].done.L = &t.mu, &t.mu
	}
	t.forRoom.L, t.forLead.L, t.forNone.L = &t.mu, &t.mu, &t.mu
}

func (t *turns) at(frame uint64) *place { return &t.places[frame%uint64(len(t.places))] }

// busy tells that nobody may begin a commit now; mu is held.
func (t *turns) busy() bool { return t.leading || t.flying >= t.window }

// lead waits until a commit may begin, and takes the right to do it.
func (t *turns) lead() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for t.busy() {
		t.forLead.Wait()
	}
	t.leading = true
}

// leadAlone is lead, and waits until no frame is with the log.
func (t *turns) leadAlone() {
	t.lead()
	t.mu.Lock()
	defer t.mu.Unlock()
	for t.flying > 0 {
		t.forNone.Wait()
	}
}

// pass gives up the right to commit.
func (t *turns) pass() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.leading = false
	t.wakeNext()
}

// wakeNext wakes one of each kind of those who may go on, if a commit may begin: whoever comes
// first leads, and passes in turn. mu is held.
func (t *turns) wakeNext() {
	if t.busy() {
		return
	}
	next := t.at(t.filled + 1)
	next.done.Signal()
	next.written.Signal()
	t.forRoom.Signal()
	t.forLead.Signal()
}

// wait returns when the frame is as durable as the log promises, or with why it never will be. When
// nobody commits, it does, by calling commit. Frame 0 is no frame.
func (t *turns) wait(frame uint64, commit func()) error {
	return t.until(&t.done, &t.at(frame).done, frame, commit)
}

// waitWritten is wait for a frame to be written.
func (t *turns) waitWritten(frame uint64, commit func()) error {
	return t.until(&t.written, &t.at(frame).written, frame, commit)
}

func (t *turns) until(reached *uint64, cond *sync.Cond, frame uint64, commit func()) error {
	if frame == 0 {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.filled < frame && reached == &t.done {
		t.joined++
	}
	for {
		switch p := t.at(frame); {
		case *reached >= frame:
			return nil
		case p.lost == frame:
			return p.err
		case t.filled < frame && t.err != nil:
			return t.err
		case t.filled >= frame || t.busy():
			cond.Wait()
		default:
			t.ledBy(commit)
		}
	}
}

// ledBy calls commit with the right to, when those who are likely to join have done so; mu is held
// before and after.
func (t *turns) ledBy(commit func()) {
	t.leading = true
	for t.joined > 0 && !t.full && !t.patience.Over(t.joined, time.Now()) {
		t.mu.Unlock()
		patience.Yield()
		t.mu.Lock()
	}
	t.mu.Unlock()
	commit()
	t.mu.Lock()
	t.leading = false
	t.wakeNext()
}

// room returns when the frame takes no more records, or when nobody is to wait any more.
func (t *turns) room(frame uint64, commit func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.full = t.full || t.filled < frame
	for t.filled < frame && t.err == nil && !t.stopped {
		if t.busy() {
			t.forRoom.Wait()
		} else {
			t.ledBy(commit)
		}
	}
}

// taken notes that a frame takes no more records and is with the log from now on.
func (t *turns) taken(frame uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.filled = frame
	t.sent, t.joined, t.full, t.began = t.joined, 0, false, time.Now()
	t.flying++
	t.forRoom.Broadcast()
}

// wrote notes that a frame is written.
func (t *turns) wrote(frame uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.written = frame
	t.at(frame).written.Broadcast()
}

// did notes that a frame is as durable as the log promises.
func (t *turns) did(frame uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.done = frame
	if t.window == 1 {
		t.patience.Done(t.sent, t.joined, time.Since(t.began))
	}
	t.at(frame).done.Broadcast()
	t.back()
}

// lost notes that a frame failed.
func (t *turns) lost(frame uint64, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.at(frame)
	p.lost, p.err = frame, err
	p.written.Broadcast()
	p.done.Broadcast()
	t.back()
}

// back notes that the log has answered a frame; mu is held.
func (t *turns) back() {
	if t.flying--; t.flying == 0 {
		t.forNone.Broadcast()
	}
	t.wakeNext()
}

// stop ends all waiting for room.
func (t *turns) stop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stopped = true
	t.forRoom.Broadcast()
}

// fail ends all waiting for frames that are not with the log, with err, which sticks.
func (t *turns) fail(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.err = err
	for i := range t.places {
		t.places[i].written.Broadcast()
		t.places[i].done.Broadcast()
	}
	t.forRoom.Broadcast()
}
