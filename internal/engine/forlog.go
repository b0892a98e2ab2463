package engine

import "time"

// What a log's owner calls, beside the answers of a frame. All of it is safe for concurrent use.

// BetweenFrames calls do while no frame is with the log, and gives the log none until it returns.
// Other calls go on meanwhile and fill the open frame.
func (e *Engine) BetweenFrames(do func()) {
	e.turns.leadAlone()
	defer e.turns.pass()
	do()
}

// MoveOpen lets do write something to the log that is not a frame, after which Next is another one.
// It does so only when the open frame is empty, and holds the engine's lock meanwhile, so do must
// be quick. It is called within BetweenFrames. grown tells that there is a new extent; an error
// ends the engine.
func (e *Engine) MoveOpen(do func() (grown bool, err error)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.open.Count > 0 || e.err != nil {
		return // the next frame will do
	}
	grown, err := do()
	if err != nil {
		e.fail(err)
		return
	}
	if grown {
		e.space.Know(e.log.Extents())
	}
	e.open.ID = e.log.Next()
	e.Look() // there is time now
}

// ExtentsGrew tells that the log has a new extent. It is called before Done of the first frame in
// it.
func (e *Engine) ExtentsGrew() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.space.Know(e.log.Extents())
	e.Look()
}

// SetTight tells whether the log may have no room for something, so that Room is to be asked. While
// it is so the engine also makes room more eagerly. It takes no lock.
func (e *Engine) SetTight(is bool) {
	if e.tight.Swap(is) != is && is {
		e.nudge()
	}
}

// CallIdle has Log.Idle called at the time at, if it would not be called before.
func (e *Engine) CallIdle(at time.Time) {
	e.mu.Lock()
	kick := e.idleBy(at)
	e.mu.Unlock()
	if kick {
		e.nudge()
	}
}

// LogTime is the time of the log, in ms.
func (e *Engine) LogTime() int64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.now()
}

// Sole is when the log surely had no other writer yet.
func (e *Engine) Sole() time.Time {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.soleAt
}

// Fail ends the engine for a fault that is not of one frame. err is what callers hear from now on.
func (e *Engine) Fail(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.fail(err)
}

// Written tells that the frame survives the death of the process. Its tasks can be read from now
// on.
func (f *Frame) Written() {
	f.wrote = true
	e := f.engine
	if f.cached {
		e.cache.add(payload{frame: f.ID, time: f.Time, bytes: f.Buf[len(e.head):]})
	}
	e.turns.wrote(f.number)
}

// Done tells that the frame is as durable as the log promises, or durable if Frame.Durable says so.
// Those who wait for it are answered. idle is when the log wants Idle to be called at the latest;
// zero is not.
func (f *Frame) Done(idle time.Time) {
	if !f.wrote {
		f.Written()
	}
	e := f.engine
	e.mu.Lock()
	e.landed(f)
	e.answered(f)
	e.space.Add(f.ID, f.living)
	if f.Durable {
		e.limit = f.limit
	}
	e.frames++
	written := e.written.Add(uint64(len(f.Buf)))
	kick := e.idleBy(idle) || e.gap > 0
	number := f.number
	e.mu.Unlock()
	e.turns.did(number)
	if kick {
		e.nudge()
	}
	if written >= e.lookAt.Load() {
		e.Look()
	}
}

// Failed tells that the frame will not be done. The engine ends, and those who wait for the frame
// hear err. Its code says what is known: unavailable, the frame is surely not in the log;
// outcome_unknown, it may be; storage_failed, it may be, and nothing is done before somebody has
// mended the store. Callers that come later, and those whose records are not with the log yet, hear
// err too, but unavailable in place of outcome_unknown.
func (f *Frame) Failed(err error) {
	e := f.engine
	e.mu.Lock()
	e.landed(f)
	number := f.number
	e.fail(err)
	e.mu.Unlock()
	e.turns.lost(number, err)
}
