package main

import (
	"context"
	"io"
	"math"
	"strconv"
	"sync"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/dispatch"
	"github.com/glassq/glassq/worker"
	"github.com/spf13/cobra"
)

// forDuration makes of --duration a number of tasks: what the rate hands out in that time or,
// without a rate, no end, which a timedSource then sets; timed says so.
func (p *paceFlags) forDuration(cmd *cobra.Command, s *sourceFlags) (timed bool, err error) {
	switch {
	case p.duration == 0:
		return false, nil
	case p.duration < 0:
		return false, usagef("--duration %v is negative", p.duration)
	case cmd.Flags().Changed("count") || s.numbers != "" || s.file != "" || s.ids != "":
		return false, usagef("--duration says how many tasks there are, as -n, --range, --file and --ids do: take one of them")
	case p.stages != "":
		return false, usagef("--duration goes with --rate or with none; stages have durations of their own: give -n")
	}
	count := uint64(dispatch.MaxTasks)
	if p.rate > 0 {
		count = uint64(min(math.Ceil(p.rate*p.duration.Seconds()), dispatch.MaxTasks))
	}
	return p.rate == 0, cmd.Flags().Set("count", strconv.FormatUint(count, 10))
}

// A timedSource ends after some time. Until then it keeps just so many tasks ahead of the worker
// that this has always something to do, so that little is left to be done when the time is over.
type timedSource struct {
	dispatch.Source
	end   time.Time
	least uint64          // tasks ahead
	over  <-chan struct{} // closed when it shall end early; set before the first Next

	mu    sync.Mutex // guards everything below
	began time.Time
	made  uint64
	done  uint64
	moved chan struct{} // something is done; capacity 1
}

// aheadTime is how much work lies ahead of the worker, at the pace so far.
const aheadTime = 200 * time.Millisecond

func newTimedSource(src dispatch.Source, d time.Duration, concurrency int) *timedSource {
	now := time.Now()
	return &timedSource{Source: src, began: now, end: now.Add(d), least: uint64(4 * concurrency),
		moved: make(chan struct{}, 1)}
}

// room is how many tasks may be made now.
func (s *timedSource) room() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	pace := float64(s.done) / max(time.Since(s.began), time.Millisecond).Seconds()
	ahead := s.least + uint64(pace*aheadTime.Seconds())
	if waiting := s.made - s.done; waiting < ahead/2 || waiting == 0 { // in batches
		return int(ahead - waiting)
	}
	return 0
}

// Next is Source's. It waits while enough is ahead.
func (s *timedSource) Next(dst []glassq.Task) (int, error) {
	over := time.NewTimer(time.Until(s.end))
	defer over.Stop()
	for {
		if !time.Now().Before(s.end) {
			return 0, io.EOF
		}
		if n := s.room(); n > 0 {
			k, err := s.Source.Next(dst[:min(n, len(dst))])
			s.mu.Lock()
			s.made += uint64(k)
			s.mu.Unlock()
			return k, err
		}
		select {
		case <-s.moved:
		case <-over.C:
		case <-s.over:
			return 0, io.EOF // the dispatch knows why
		}
	}
}

// Total is not known before the end.
func (s *timedSource) Total() (uint64, bool) { return 0, false }

// handler counts what handlers of newHandler have done.
func (s *timedSource) handler(newHandler func(int) worker.Handler) func(int) worker.Handler {
	return func(i int) worker.Handler { return &countedHandler{newHandler(i), s} }
}

type countedHandler struct {
	worker.Handler
	s *timedSource
}

func (h *countedHandler) Handle(ctx context.Context, l *glassq.Lease, r *worker.Reply) error {
	err := h.Handler.Handle(ctx, l, r)
	if err == nil {
		h.s.mu.Lock()
		h.s.done++
		h.s.mu.Unlock()
		select {
		case h.s.moved <- struct{}{}:
		default:
		}
	}
	return err
}

// Shed is worker.Shedder's.
func (h *countedHandler) Shed() {
	if s, ok := h.Handler.(worker.Shedder); ok {
		s.Shed()
	}
}

func (h *countedHandler) Close() error {
	if c, ok := h.Handler.(io.Closer); ok {
		return c.Close()
	}
	return nil
}
