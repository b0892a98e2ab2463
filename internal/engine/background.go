package engine

import (
	"time"

	"github.com/glassq/glassq/internal/state"
)

// reclaimEvery is how often the keeper is asked to make room while the log is tight.
const reclaimEvery = time.Second

// rests tells whether the background loop would sleep beyond at. While it is awake it looks at
// everything anew before it sleeps. The caller holds mu.
func (e *Engine) rests(at time.Time) bool { return e.restUntil.IsZero() || e.restUntil.After(at) }

func (e *Engine) nudge() { ring(e.kick) }

// ring tells a goroutine that there is something to do, once for all that it has not heard of.
func ring(bell chan struct{}) {
	select {
	case bell <- struct{}{}:
	default:
	}
}

// idleBy notes when the log wants Idle at the latest, and tells whether the background loop is to
// be nudged. The caller holds mu.
func (e *Engine) idleBy(at time.Time) (kick bool) {
	if at.IsZero() || !e.idleAt.IsZero() && !at.Before(e.idleAt) {
		return false
	}
	e.idleAt = at
	return e.rests(at)
}

// reset has timer go off at a time; zero is not soon.
func reset(timer *time.Timer, at time.Time) {
	if at.IsZero() {
		at = time.Now().Add(time.Hour)
	}
	timer.Reset(time.Until(at))
}

// background does what nobody waits for: due timers, lazy writes, and what the log wants.
func (e *Engine) background() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		now := time.Now()
		schedules := e.runSchedules(now)
		e.mu.Lock()
		failed := e.err != nil
		if !failed {
			e.tick()
			e.match()
			e.beat(now)
		}
		var next time.Time
		soonest := func(at time.Time) {
			if !at.IsZero() && (next.IsZero() || at.Before(next)) {
				next = at
			}
		}
		if at, ok := e.st.Due(); ok {
			soonest(now.Add(time.Duration(max(at-e.now(), 1)) * time.Millisecond))
		}
		if e.open.Count > 0 && e.lazyAt.IsZero() {
			e.lazyAt = now.Add(lazyWrite)
		}
		write := !e.lazyAt.IsZero() && !e.lazyAt.After(now)
		soonest(e.lazyAt)
		soonest(e.toldAt.Add(heartbeat))
		soonest(schedules)
		idle := !e.idleAt.IsZero() && !e.idleAt.After(now)
		soonest(e.idleAt)
		if idle {
			e.idleAt = time.Time{}
		}
		if e.reclaim(now) {
			soonest(e.reclaimAt)
		}
		e.restUntil = next
		e.mu.Unlock()
		switch {
		case failed:
			<-e.stop
			return
		case idle:
			e.CallIdle(e.log.Idle(now))
			continue
		case write:
			e.turns.lead()
			e.commitOpen()
			e.turns.pass()
			continue
		}
		reset(timer, next)
		select {
		case <-timer.C:
		case <-e.kick:
		case <-e.stop:
			return
		}
	}
}

// reclaim has the keeper write checkpoints for the extents that can go after them, now and then
// while the log is tight: it hardly grows then, so that no checkpoint would be due. It tells
// whether the log is tight. The caller holds mu.
func (e *Engine) reclaim(now time.Time) bool {
	if e.err != nil || !e.tight.Load() {
		return false
	}
	if e.reclaimAt.After(now) {
		return true
	}
	e.reclaimAt = now.Add(reclaimEvery)
	if _, dead := e.space.Idle(); dead == 0 {
		return true
	}
	if e.roomOn(Shrinks, 16) == nil {
		// Two checkpoints have to be past an extent before it goes, at two places.
		e.append(state.AppendNumbers(nil, e.st.Limit()))
	}
	e.Look()
	return true
}
