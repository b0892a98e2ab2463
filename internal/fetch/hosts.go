package fetch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/worker"
)

// A host that asks for a pause, or has as many requests as it may, costs no task a try: tasks for
// it go back uncounted, each with a delay after which it has a place. A few wait here instead, so
// that no place stays empty.

// A host is what a fetcher knows of one host.
type host struct {
	places chan struct{} // one for each request at work; nil without Options.PerHost

	mu      sync.Mutex    // guards everything below
	waiting int           // handlers that wait for a place or their moment
	next    time.Time     // by the rate, no request begins before
	later   time.Time     // when the last task that was put off is due
	mean    time.Duration // of a request, about
	closed  time.Time     // no request before, as the host asked
	since   time.Time     // when it began to ask, with no other answer since; zero when it did not
}

// A hostTable is safe for concurrent use.
type hostTable struct {
	mu   sync.Mutex
	byID map[string]*host // host[:port] in lower case
}

const (
	maxKnownHosts = 10_000 // above which those are forgotten that nothing holds
	patience      = 10     // times Options.BackoffMax that a host may ask for pauses and answer nothing else
)

// errPause is why a task goes back that its host put off.
var errPause = errors.New("its host asked for a pause")

func (t *hostTable) get(name []byte, places int) *host {
	t.mu.Lock()
	defer t.mu.Unlock()
	id := string(bytes.ToLower(name))
	h := t.byID[id]
	if h == nil {
		if len(t.byID) >= maxKnownHosts {
			now := time.Now()
			for id, h := range t.byID {
				if h.idle(now) {
					delete(t.byID, id)
				}
			}
		}
		h = &host{}
		if places > 0 {
			h.places = make(chan struct{}, places)
		}
		t.byID[id] = h
	}
	return h
}

func (h *host) idle(now time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.waiting == 0 && len(h.places) == 0 && h.next.Before(now) && h.closed.Before(now)
}

// enter waits until a request may go to req's host. The caller must then leave it. An error gives
// the task back.
func (f *Fetcher) enter(ctx context.Context, req *request) (*host, error) {
	if f.hosts == nil {
		return nil, nil
	}
	h := f.hosts.get(req.host, f.opt.PerHost)
	now := time.Now()
	h.mu.Lock()
	full := h.places != nil && len(h.places) == cap(h.places)
	if wait := h.closed.Sub(now); wait > 0 {
		h.mu.Unlock()
		return nil, putOff(wait, errPause)
	}
	var interval time.Duration
	if f.opt.PerHostRate > 0 {
		interval = time.Duration(float64(time.Second) / f.opt.PerHostRate)
	}
	if (full || h.next.After(now)) && h.waiting >= max(f.opt.PerHost, 1) {
		step := interval
		if f.opt.PerHost > 0 {
			step = max(step, h.mean/time.Duration(f.opt.PerHost), 10*time.Millisecond)
		}
		for _, t := range []time.Time{now, h.next} {
			if h.later.Before(t) {
				h.later = t
			}
		}
		h.later = h.later.Add(step)
		wait := h.later.Sub(now)
		h.mu.Unlock()
		return nil, putOff(wait, errors.New("its host has as many requests as it may"))
	}
	h.waiting++
	moment := h.next
	if moment.Before(now) {
		moment = now
	}
	h.next = moment.Add(interval)
	h.mu.Unlock()
	err := pause(ctx, moment.Sub(now))
	if err == nil && h.places != nil {
		select {
		case h.places <- struct{}{}:
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	h.mu.Lock()
	h.waiting--
	wait := time.Until(h.closed)
	h.mu.Unlock()
	if err == nil && wait > 0 {
		h.leave(0)
		err = putOff(wait, errPause)
	}
	if err != nil {
		return nil, err
	}
	return h, nil
}

func putOff(wait time.Duration, why error) error {
	return &worker.NackError{Undone: true, Delay: max(wait, time.Millisecond), Err: why}
}

// forAll has a pause that a host asked for hold its key in the queue, for all workers, where the host
// is the key of the task. The task itself goes back to its place.
func forAll(err error, key string, name []byte) error {
	ne, ok := errors.AsType[*worker.NackError](err)
	if ok && errors.Is(err, errPause) && key != "" && strings.EqualFold(key, string(name)) {
		ne.Hold, ne.Delay = min(ne.Delay, glassq.MaxHold), 0
	}
	return err
}

// leave frees the place of a request that took d.
func (h *host) leave(d time.Duration) {
	if h == nil {
		return
	}
	if h.places != nil {
		<-h.places
	}
	h.mu.Lock()
	if d > 0 {
		h.mean += (d - h.mean) / 8
	}
	h.mu.Unlock()
}

// asked returns an error that gives the task back when the answer a asks for a pause. A host that
// has asked for so long that nobody would wait on is taken at its word: the answer is one like
// others.
func (f *Fetcher) asked(name []byte, a *answer, now time.Time) error {
	if f.hosts == nil || f.opt.Retries == 0 || a.err != "" {
		return nil
	}
	busy := a.code == http.StatusTooManyRequests || a.code == http.StatusServiceUnavailable
	wait, said := retryAfter(a.after, now)
	busy = busy && said && wait > 0 && wait <= f.opt.BackoffMax
	h := f.hosts.get(name, f.opt.PerHost)
	h.mu.Lock()
	defer h.mu.Unlock()
	if !busy {
		h.since = time.Time{}
		return nil
	}
	if h.since.IsZero() {
		h.since = now
	}
	if now.Sub(h.since) > patience*f.opt.BackoffMax {
		return nil
	}
	if until := now.Add(wait); until.After(h.closed) {
		h.closed = until
	}
	return putOff(wait, fmt.Errorf("%w, status %d", errPause, a.code))
}
