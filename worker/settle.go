package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/glassq/glassq"
)

const (
	ackBatch   = 1000             // most acks in one call
	ackWait    = time.Millisecond // how long a batch waits for others to share its call
	busyBatch  = 8                // endings in ackWait that make a worker busy: nobody waits for a single one of them
	busyWait   = 4 * ackWait      // how long the batch of a busy worker waits on
	maxUnacked = 2 * ackBatch     // endings not told above which nothing is begun: they are done again if the worker dies
	fullWait   = time.Second      // until an ack is tried again that found the results queue full
)

// A settler tells the queue how leases ended. Its slices are used again.
type settler struct {
	w     *worker
	batch []*held
	full  []*held // wait for room in the results queue
	acks  []glassq.Ack
	tasks []glassq.Task // the results of acks; never more than its capacity, so that they stay where they are
	nacks []glassq.Nack
	acked []*held // by index of acks
	given []*held // by index of nacks
}

// settleLeases acks and nacks what has ended until the handlers are gone and nothing is left. While
// one call is under way the next batch fills; an idle worker's first ending waits ackWait for
// others.
func (w *worker) settleLeases(ctx context.Context) {
	s := &settler{w: w, tasks: make([]glassq.Task, 0, ackBatch)}
	wait := time.NewTimer(ackWait)
	wait.Stop()
	again := time.NewTimer(fullWait)
	again.Stop()
	defer wait.Stop()
	defer again.Stop()
	for {
		select {
		case <-again.C:
			s.retry()
		default:
		}
		n, over := w.pending()
		if n == 0 {
			if over && len(s.full) == 0 {
				return
			}
			select {
			case <-w.wake:
			case <-again.C:
				s.retry()
			case <-ctx.Done():
				if over {
					return // what still waits for room stays leased and is handed out again
				}
				<-w.wake
			}
			continue
		}
		if n < ackBatch && !over {
			w.fill(wait)
		}
		waiting := len(s.full)
		if err := s.flush(ctx); err != nil {
			w.fail(err)
			w.discard()
			continue
		}
		if len(s.full) > 0 && waiting == 0 {
			again.Reset(fullWait)
		}
	}
}

// fill waits until a batch is full, its time is over, or the drain has begun. A call costs a sync
// at the queue, so a busy worker waits for longer.
func (w *worker) fill(wait *time.Timer) {
	if w.fillFor(wait, ackWait) >= busyBatch {
		w.fillFor(wait, busyWait)
	}
}

// fillFor waits for d at most and returns how many endings there are if that was over, else 0.
func (w *worker) fillFor(wait *time.Timer, d time.Duration) int {
	wait.Reset(d)
	defer wait.Stop()
	for {
		if n, _ := w.pending(); n >= ackBatch {
			return 0
		}
		select {
		case <-wait.C:
			n, _ := w.pending()
			return n
		case <-w.draining:
			return 0
		case <-w.wake:
		}
	}
}

func (w *worker) pending() (n int, over bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.ended), w.over
}

// discard drops all that has ended: the queue cannot be told.
func (w *worker) discard() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, h := range w.ended {
		w.told(h)
	}
	w.ended = w.ended[:0]
}

// retry puts what found the results queue full back among the ended.
func (s *settler) retry() {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	s.w.ended = append(s.w.ended, s.full...)
	s.full = s.full[:0]
}

// flush tells the queue of up to ackBatch endings. Its error is of a whole call; the endings of it
// are dropped then.
func (s *settler) flush(ctx context.Context) error {
	w := s.w
	s.tasks = s.tasks[:0]
	s.acks, s.nacks, s.acked, s.given = s.acks[:0], s.nacks[:0], s.acked[:0], s.given[:0]
	w.mu.Lock()
	n := min(len(w.ended), ackBatch)
	s.batch = append(s.batch[:0], w.ended[:n]...)
	rest := copy(w.ended, w.ended[n:])
	clear(w.ended[rest:])
	w.ended = w.ended[:rest]
	for _, h := range s.batch {
		if h.end == endAck {
			s.acked = append(s.acked, h)
		} else {
			s.given = append(s.given, h)
		}
	}
	w.mu.Unlock()

	for _, h := range s.acked {
		a := glassq.Ack{Token: h.lease.Token(), Put: h.reply.Put}
		if len(h.reply.Body) > 0 {
			s.tasks = append(s.tasks, glassq.Task{Body: h.reply.Body, Type: h.reply.Type})
			a.Result = &s.tasks[len(s.tasks)-1]
		}
		s.acks = append(s.acks, a)
	}
	var refused []error
	if len(s.acks) > 0 {
		errs, err := w.q.Ack(ctx, s.acks)
		if err != nil {
			s.forget(s.acked)
			s.forget(s.given)
			return fmt.Errorf("ack %d tasks: %w", len(s.acks), err)
		}
		refused = errs
	}
	s.booked(refused)

	for _, h := range s.given {
		h.nack.Token = h.lease.Token()
		s.nacks = append(s.nacks, h.nack)
	}
	if len(s.nacks) > 0 {
		errs, err := w.q.Nack(ctx, s.nacks)
		if err != nil {
			s.forget(s.given)
			return fmt.Errorf("nack %d tasks: %w", len(s.nacks), err)
		}
		s.givenBack(errs)
	}
	return nil
}

func (s *settler) forget(hs []*held) {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	for _, h := range hs {
		s.w.told(h)
	}
}

// booked counts acks by their answers, and adds those to s.given whose result is refused for good.
func (s *settler) booked(errs []error) {
	w := s.w
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, h := range s.acked {
		var err error
		if i < len(errs) {
			err = errs[i]
		}
		switch {
		case err == nil:
			w.stats.Done++
			if h.failed {
				w.stats.Failed++
			} else {
				w.stats.OK++
			}
		case errors.Is(err, glassq.ErrLeaseLost):
			w.stats.Lost++
		case errors.Is(err, glassq.ErrQueueFull) || glassq.CodeOf(err) == glassq.CodeStorageFull:
			if len(s.full) == 0 {
				w.opt.Logger.Warn("no room for results, waiting", "queue", w.opt.Queue, "err", err)
			}
			s.full = append(s.full, h)
			continue // still held, still extended
		default:
			w.opt.Logger.Warn("result refused", "queue", w.opt.Queue, "task", h.lease.TaskID(), "err", err)
			h.end = endNack
			h.nack = glassq.Nack{Reason: "result refused: " + err.Error()}
			s.given = append(s.given, h)
			continue
		}
		w.told(h)
	}
	w.room.Signal()
}

func (s *settler) givenBack(errs []error) {
	w := s.w
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, h := range s.given {
		switch {
		case i < len(errs) && errors.Is(errs[i], glassq.ErrLeaseLost):
			w.stats.Lost++
		case i < len(errs) && errs[i] != nil:
			w.opt.Logger.Warn("nack refused", "queue", w.opt.Queue, "task", h.lease.TaskID(), "err", errs[i])
			if plain := (glassq.Nack{Token: h.nack.Token, Reason: h.nack.Reason}); h.nack != plain {
				// Else it would be held until its lease runs out, and come back without a reason.
				h.nack = glassq.Nack{Reason: clip("nack refused: " + errs[i].Error() + ": " + h.nack.Reason)}
				w.ended = append(w.ended, h)
				continue
			}
		case h.end == endUndone:
			w.stats.Undone++
		default:
			w.stats.Nacked++
		}
		w.told(h)
	}
	w.room.Signal()
}
