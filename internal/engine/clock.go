package engine

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/state"
)

// The time of the log. Delays, ttls, leases and windows are counted in it. It runs by a monotonic
// clock while an engine is open, never goes back, and is the wall clock's at first. What passed
// while no engine was open is told by whoever has seen the last frame, or else by the wall clock;
// then it has to be believed, and a clock that is far ahead would end every ttl at once. So a start
// takes from the wall clock only how long it was away. How far that clock is ahead of the log is
// remembered: a clock that was not believed, or was set back, is wrong for one start and not for
// good.
const (
	mostAway  = 31 * 24 * time.Hour // that a cold start believes the wall clock, see Policy.MostAway
	farOff    = time.Hour           // that a wall clock may differ from a known time without a word
	setBack   = time.Minute         // that a wall clock may be behind before it counts as set back
	heartbeat = time.Hour           // at least this often the time is in the log
)

// resume says at which time the log goes on, and how far the wall clock is ahead of that then, as
// it is to be remembered. last is the time of the log's end, 0 for an empty log, and ahead what was
// remembered; all in ms. said is what a person should know, or "".
func (p *Policy) resume(last, ahead int64, wall time.Time) (now, nowAhead int64, said string) {
	if last == 0 {
		return wall.UnixMilli(), 0, ""
	}
	past := time.Duration(wall.UnixMilli()-ahead-last) * time.Millisecond
	most := p.MostAway
	if most == 0 {
		most = mostAway
	}
	if p.Seen != nil {
		if ago, ok := p.Seen(last); ok {
			now = last + ago.Milliseconds()
			if off := past - ago; off > farOff || off < -farOff {
				return now, wall.UnixMilli() - now, fmt.Sprintf("the clock of this machine says %s, %v from what this program has seen; it is not used", wall.UTC().Format(time.RFC3339), off)
			}
			return now, ahead, ""
		}
	}
	switch {
	case past > most:
		said = fmt.Sprintf("the clock of this machine says %s, %v after the last record of the log; more than %v are not believed: delays, ttls and leases go on from where they were", wall.UTC().Format(time.RFC3339), past, most)
	case past < -setBack:
		said = fmt.Sprintf("the clock of this machine says %s and was set back by %v at least: delays, ttls and leases go on from where they were", wall.UTC().Format(time.RFC3339), -past)
	default:
		return last + max(past, 0).Milliseconds(), ahead, ""
	}
	return last, wall.UnixMilli() - last, said
}

// startClock begins to count, and returns how far the wall clock is ahead when that is to be
// remembered anew.
func (e *Engine) startClock() (ahead int64, changed bool) {
	last := e.st.Now()
	base, ahead, said := e.policy.resume(last, e.st.Ahead(), e.wall())
	if said != "" {
		e.opt.Logger.Warn("the clock is not used", "why", said)
	}
	e.start, e.base = time.Now(), base
	return ahead, ahead != e.st.Ahead()
}

// beat appends the time when no frame has told it for long, so that a start after a crash knows
// when that was. The caller holds mu.
func (e *Engine) beat(now time.Time) {
	if now.Sub(e.toldAt) < heartbeat {
		return
	}
	if e.toldAt = now; e.open.Count == 0 && e.roomOn(Shrinks, 16) == nil {
		e.append(state.AppendTime(nil, 0))
	}
}

// now is the engine's clock in ms. It stops while the log owes an answer for longer than
// Policy.Stops. The caller holds mu.
func (e *Engine) now() int64 {
	at := time.Now()
	if stop := e.owedAt.Add(e.policy.Stops); e.policy.Stops > 0 && !e.owedAt.IsZero() && at.After(stop) {
		at = stop
	}
	return e.base + at.Sub(e.start).Milliseconds()
}

// answered notes that the log has answered f, and the gap if it was long in coming. The caller holds
// mu, and has taken f off those that are flying.
func (e *Engine) answered(f *Frame) {
	if stopped := e.now(); e.gap == 0 {
		e.gapAt = stopped
	}
	e.soleAt = f.given
	now := time.Now()
	if e.policy.Stops > 0 {
		e.gap += max(0, now.Sub(e.owedAt)-e.policy.Stops)
	}
	e.owedAt = time.Time{}
	if len(e.flying) > 0 {
		e.owedAt = now
	}
}

// prove commits an empty frame when the last one that was answered had been given to the log longer
// than fresh ago, before others are told what is in the state, and returns the frame's number, or 0. When
// the answer came says nothing: the program may have been stopped since the log gave it.
func (e *Engine) prove(fresh time.Duration) uint64 {
	if e.policy.Fresh == 0 {
		return 0
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if time.Since(e.soleAt) < fresh || e.err != nil || e.closed {
		return 0
	}
	if e.open.Count == 0 {
		e.tick()
		e.append(state.AppendTime(nil, 0))
	}
	return e.join()
}

// Prove waits until a frame that begins now is done: then the log has had no other writer so far.
func (e *Engine) Prove() error { return e.wait(e.prove(0)) }

// waitLive is wait for what tells a deadline. One that took longer than the time of the log goes on
// by itself is proved by another frame: the deadline that was moved over the gap is not in the log
// before, and the next owner may have another one.
func (e *Engine) waitLive(frame uint64) error {
	began := time.Now()
	err := e.wait(frame)
	if err == nil && e.policy.Stops > 0 && time.Since(began) > e.policy.Stops {
		err = e.Prove()
	}
	return err
}

// toldOf waits for what acks, nacks or extends rest on. That a lease is lost is never told by an
// engine that may have been replaced: the next one may have granted it.
func (e *Engine) toldOf(errs []error, frame uint64) error {
	if slices.ContainsFunc(errs, func(err error) bool { return errors.Is(err, glassq.ErrLeaseLost) }) {
		frame = max(frame, e.prove(0))
	}
	return e.wait(frame)
}
