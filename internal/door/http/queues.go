package httpdoor

import (
	"net/http"
	"slices"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/envelope"
)

// maxPeek bounds one page of peek.
const maxPeek = 1000

func (s *call) queues(r *http.Request, q *query) (any, error) {
	list, err := s.store.Queues(r.Context(), q.values["name"]...)
	return listed("queues", list), err
}

func (s *call) showQueue(r *http.Request, _ *query) (any, error) {
	list, err := s.store.Queues(r.Context(), r.PathValue("queue"))
	if err != nil {
		return nil, err
	}
	return list[0], nil
}

func (s *call) configure(r *http.Request, c *glassq.SettingsChange) (any, error) {
	return s.store.Configure(r.Context(), r.PathValue("queue"), *c)
}

func (s *call) drop(r *http.Request, _ *query) (any, error) {
	return okay, s.store.Drop(r.Context(), r.PathValue("queue"))
}

// peek shows up to max tasks (default 20) of one state (default ready) after cursor.
func (s *call) peek(rw http.ResponseWriter, r *http.Request) error {
	q := parseQuery(r, "state", "cursor", "max")
	state, err := glassq.ParseState(q.oneOf("state", "ready", "delayed", "leased", "dead"))
	if err != nil {
		q.fail("%v", err)
	}
	if len(q.values["state"]) > 1 {
		q.fail("peek shows one state")
	}
	cursor := q.number("cursor", 0, 1<<64-1)
	limit := int(q.atLeast1("max", 20, maxPeek))
	if q.err != nil {
		return q.err
	}
	p, ctx := s.page(rw, r.Context(), r)
	defer p.Done()
	tasks, next, err := s.store.Peek(ctx, r.PathValue("queue"), state, cursor, limit)
	if err != nil {
		return err
	}
	rw.Header().Set("Content-Type", typeJSON)
	p.out = append(p.out, `{"tasks":[`...)
	for i := range tasks {
		if i > 0 {
			p.out = append(p.out, ',')
		}
		var rest envelope.Rest
		p.out, rest = envelope.CutPeeked(p.out, &tasks[i])
		if err := p.print(rest); err != nil {
			return err
		}
	}
	p.out = append(p.out, ']')
	if next != 0 {
		p.out = append(p.out, `,"next":`...)
		p.out = appendUint(p.out, next)
	}
	p.out = append(p.out, '}', '\n')
	return p.end()
}

// filterNames are the parameters of a filter of dead tasks.
var filterNames = []string{"task", "why", "reason", "run", "max"}

// filter reads which dead tasks are meant; is tells that anything but max was asked for.
func (q *query) filter() (f glassq.DeadFilter, is bool) {
	f = glassq.DeadFilter{Tasks: q.values["task"], Why: q.oneOf("why", "", glassq.DeadAttempts, glassq.DeadNacked),
		Reason: q.values.Get("reason"), Run: q.values.Get("run"), Max: int(q.number("max", 0, 1<<31-1))}
	return f, len(f.Tasks) > 0 || f.Why != "" || f.Reason != "" || f.Run != ""
}

// purge ends the tasks of the given states, delayed and ready when none is given; with a filter, the
// dead ones that it means.
func (s *call) purge(r *http.Request, q *query) (any, error) {
	var states []glassq.State
	for _, text := range q.values["state"] {
		state, err := glassq.ParseState(text)
		if err != nil {
			return nil, err
		}
		states = append(states, state)
	}
	f, some := q.filter()
	if some = some || f.Max > 0; some && !slices.Equal(states, []glassq.State{glassq.Dead}) {
		q.fail("task, why, reason, run and max choose among dead tasks: state=dead")
	}
	if q.err != nil {
		return nil, q.err
	}
	var n int
	var err error
	if some {
		n, err = s.store.PurgeSome(r.Context(), r.PathValue("queue"), f)
	} else {
		n, err = s.store.Purge(r.Context(), r.PathValue("queue"), states...)
	}
	return map[string]int{"purged": n}, err
}

// redrive makes up to max dead tasks ready again, all when max is not given, or those that a filter
// means.
func (s *call) redrive(r *http.Request, q *query) (any, error) {
	f, some := q.filter()
	if q.err != nil {
		return nil, q.err
	}
	var n int
	var err error
	if some {
		n, err = s.store.RedriveSome(r.Context(), r.PathValue("queue"), f)
	} else {
		n, err = s.store.Redrive(r.Context(), r.PathValue("queue"), f.Max)
	}
	return map[string]int{"redriven": n}, err
}

// keys shows up to max keys (default 100) after the cursor, which is a key.
func (s *call) keys(r *http.Request, q *query) (any, error) {
	limit := int(q.atLeast1("max", 100, maxPeek))
	if q.err != nil {
		return nil, q.err
	}
	list, err := s.store.Keys(r.Context(), r.PathValue("queue"), q.text("cursor"), limit)
	a := listed("keys", list)
	if len(list) == limit {
		a["next"] = list[limit-1].Key
	}
	return a, err
}

// releaseKey ends the hold and the halt of a key.
func (s *call) releaseKey(r *http.Request, q *query) (any, error) {
	return okay, s.store.ReleaseKey(r.Context(), r.PathValue("queue"), q.text("key"))
}
