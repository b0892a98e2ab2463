package worker

import (
	"errors"
	"slices"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/lack"
)

// A worker that lacks something of its own, such as open files, would fail every task that it
// takes, and the sooner the more there are. So such tasks go back uncounted, nothing is begun for a
// moment, which grows while it does not help, and then half as many tasks at once. After some time
// without trouble it is twice as many again.
//
// Tasks that are put off, given back undone with a delay, would fill the queue's delays with what
// this worker cannot do yet. So it takes no more while maxPutOff of them wait, until the first is
// due.

const (
	firstRest = 250 * time.Millisecond
	longRest  = 10 * time.Second
	easeAfter = 10 * time.Second // without trouble before more tasks are at work again
	lackDelay = time.Second      // least delay of a task that goes back for the worker's lack
	maxPutOff = 1000
	lackAgain = time.Minute // between two warnings of the same lack
)

// A strain is how far the worker is from what it was told to do at once. It is guarded by
// worker.mu.
type strain struct {
	limit  int                  // most handlers at work; 0 for no limit
	busy   int                  // handlers at work
	rest   time.Time            // nothing begins before
	pause  time.Duration        // the last one
	lacks  int                  // how often there was a rest
	said   map[string]time.Time // when each lack was told of
	putOff []time.Time          // when tasks are due that were put off; some may be past
	timers [2]*time.Timer       // for the end of a rest, and the first of putOff
}

// cures say what helps against a lack.
var cures = map[string]string{
	"open files":  "raise ulimit -n or lower -c",
	"memory":      "lower -c",
	"disk space":  "make room",
	"processes":   "raise ulimit -u or lower -c",
	"local ports": "keep connections, or use more machines",
}

// strained notes that the task of h failed for want of h.lack, and when it is to come back.
func (w *worker) strained(h *held) {
	w.mu.Lock()
	now := time.Now()
	if !now.Before(w.strain.rest) { // else another handler has noted it
		w.strain.pause = min(max(2*w.strain.pause, firstRest), longRest)
		w.strain.rest = now.Add(w.strain.pause)
		w.strain.limit = max(w.places()/2, 1)
		w.strain.lacks++
		w.wakeIn(0, w.strain.pause)
		w.work.Broadcast() // for those who can shed something
	}
	h.nack.Undone, h.nack.Delay = true, max(h.nack.Delay, w.strain.pause, lackDelay)
	limit := w.strain.limit
	last, before := w.strain.said[h.lack]
	say := !before || now.Sub(last) >= lackAgain
	if say {
		if w.strain.said == nil {
			w.strain.said = map[string]time.Time{}
		}
		w.strain.said[h.lack] = now
	}
	w.mu.Unlock()
	if say {
		w.opt.Logger.Warn("the worker itself lacks "+h.lack+": its tasks go back, and it takes fewer at once for a while; "+cures[h.lack],
			"queue", w.opt.Queue, "at once", limit, "err", h.nack.Reason)
	}
}

// admits reports whether another task may begin. w.mu is held.
func (w *worker) admits() bool {
	s := &w.strain
	if s.limit == 0 {
		return true
	}
	now := time.Now()
	if now.Before(s.rest) {
		return false
	}
	if now.Sub(s.rest) > easeAfter {
		s.rest, s.pause, s.limit = now, s.pause/2, 2*s.limit
		if s.limit >= w.opt.Concurrency {
			s.limit, s.pause = 0, 0
		}
		w.work.Broadcast()
		return true
	}
	return s.busy < s.limit
}

// crowded reports whether maxPutOff tasks wait for the moment that they were put off to. w.mu is
// held.
func (w *worker) crowded() bool {
	s := &w.strain
	if len(s.putOff) < maxPutOff {
		return false
	}
	now := time.Now()
	s.putOff = slices.DeleteFunc(s.putOff, func(due time.Time) bool { return !due.After(now) })
	if len(s.putOff) < maxPutOff {
		return false
	}
	w.wakeIn(1, slices.MinFunc(s.putOff, time.Time.Compare).Sub(now))
	return true
}

// leave notes that a handler is through with h. w.mu is held.
func (s *strain) leave(h *held) {
	s.busy--
	if h.end == endNack && h.nack.Undone && h.nack.Delay > 0 {
		s.putOff = append(s.putOff, time.Now().Add(h.nack.Delay))
	}
}

// wakeIn wakes everything that waits after d, by one of the timers. w.mu is held.
func (w *worker) wakeIn(timer int, d time.Duration) {
	t := &w.strain.timers[timer]
	if *t != nil {
		(*t).Reset(d)
		return
	}
	*t = time.AfterFunc(d, func() {
		w.mu.Lock()
		w.ahead.none = false // leases may have gone back meanwhile, and handlers are free
		w.work.Broadcast()
		w.room.Broadcast()
		w.mu.Unlock()
	})
}

// stopTimers is for the end of the worker.
func (w *worker) stopTimers() {
	for _, t := range w.strain.timers {
		if t != nil {
			t.Stop()
		}
	}
}

// putBack fills in h.nack from what a handler returned as err.
func putBack(h *held, err error) {
	h.nack = glassq.Nack{Reason: clip(err.Error())}
	h.lack = lack.Of(err)
	if ne, ok := errors.AsType[*NackError](err); ok {
		h.nack.Delay, h.nack.Dead, h.nack.Undone, h.nack.Hold = ne.Delay, ne.Dead, ne.Undone, ne.Hold
		if ne.Lack != "" {
			h.lack = ne.Lack
		}
	}
	if h.nack.Dead {
		h.lack = ""
	}
}

// clip is a reason as far as it is kept.
func clip(reason string) string { return reason[:min(len(reason), glassq.MaxReason)] }
