package httpdoor

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/rights"
)

const (
	maxWatchers = 1000             // streams of events at a time
	beatEvery   = 15 * time.Second // something is sent at least that often, so that a client that has gone is noticed
	eventsRead  = 64               // events sent with one write
)

// events streams what happens as server-sent events until the client goes, the server stops or wait
// is over. Readers hold nothing in the server: a slow one loses its place, is told and cut, and may
// come back with Last-Event-ID.
func (s *call) events(rw http.ResponseWriter, r *http.Request) error {
	q := parseQuery(r, "queue", "run", "after", "wait")
	queue, run := q.text("queue"), q.text("run")
	after := q.number("after", s.live.LastEvent(), 1<<63-1)
	wait := q.duration("wait")
	if id := r.Header.Get("Last-Event-ID"); id != "" {
		n, err := strconv.ParseUint(id, 10, 64)
		if err != nil {
			q.fail("Last-Event-ID %.40q is not the id of an event", id)
		}
		after = n
	}
	for _, name := range []string{queue, run} {
		if err := glassq.CheckName(name); name != "" && err != nil && q.err == nil {
			q.err = err
		}
	}
	if q.err != nil {
		return q.err
	}
	if err := s.mayHear(queue, run); err != nil {
		return err
	}
	if !s.streams.TryTake(1) {
		return glassq.Errorf(glassq.CodeUnavailable, "%d readers of events are there already; come back later", maxWatchers)
	}
	defer s.streams.Give(1)
	ctx, done := s.longPoll(r.Context(), true)
	defer done()
	if q.has("wait") {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, wait)
		defer cancel()
	}
	rw.Header().Set("Content-Type", "text/event-stream")
	rw.Header().Set("X-Accel-Buffering", "no") // proxies are to pass each event on
	if r.Method == http.MethodHead {
		return nil // its answer has no body, and so would have no end
	}
	if err := write(rw, nil, []byte("retry: 1000\n\n")); err != nil {
		return nil
	}
	s.stream(ctx, rw, after, queue, run) // however it ends, there is nobody to tell
	return nil
}

// mayHear tells whether the client may be told what happens to a queue and a run or, where neither
// is named, to all.
func (s *call) mayHear(queue, run string) error {
	if queue == "" && run == "" {
		return s.store.Who.May(rights.VerbAllEvents, "")
	}
	if queue != "" {
		if err := s.store.Who.May(rights.VerbEvents, queue); err != nil {
			return err
		}
	}
	if run != "" {
		return s.store.Who.May(rights.VerbEvents, run)
	}
	return nil
}

// stream sends events after an id until it ends, whose reason it returns.
func (s *call) stream(ctx context.Context, rw http.ResponseWriter, after uint64, queue, run string) error {
	for first := true; ; first = false {
		beat, cancel := context.WithTimeout(ctx, beatEvery)
		list, lost, err := s.live.Events(beat, after, eventsRead)
		cancel()
		var out []byte
		switch {
		case s.isDraining():
			return write(rw, nil, appendEvent(nil, 0, "bye", []byte(`{"message":"the server is stopping"}`)))
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, context.DeadlineExceeded):
			out = []byte(": nothing happens\n\n")
		case lost && !first:
			return write(rw, nil, appendEvent(nil, 0, "cut",
				[]byte(`{"message":"this reader is too slow, events were lost; come back with Last-Event-ID"}`)))
		case lost:
			out = appendEvent(out, 0, "lost", []byte(`{"message":"events after the last one that you saw are not kept any more"}`))
			if len(list) == 0 {
				after = s.live.LastEvent()
			}
		}
		for _, e := range list {
			after = e.ID
			if !e.About(queue, run) {
				continue
			}
			text := e.Text
			if queue != "" || run != "" {
				only := e.Only(queue, run)
				text = only.Text
			}
			out = appendEvent(out, e.ID, e.Kind, text)
		}
		if len(out) == 0 {
			continue
		}
		if err := write(rw, nil, out); err != nil {
			return err
		}
	}
}

// appendEvent appends one event; id 0 leaves the client's where it is.
func appendEvent(dst []byte, id uint64, kind string, data []byte) []byte {
	if id != 0 {
		dst = append(strconv.AppendUint(append(dst, "id: "...), id, 10), '\n')
	}
	dst = append(append(append(dst, "event: "...), kind...), "\ndata: "...)
	return append(append(dst, data...), "\n\n"...)
}
