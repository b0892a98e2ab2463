package engine

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/state"
)

const listed = 500 // queues that List looks at before others get their turn

// A rank is where a queue stands in a list.
type rank struct {
	at   uint64
	name string
}

// A ranks keeps those that come first of very many.
type ranks struct {
	most int
	all  []rank
}

func (r *ranks) add(x rank) {
	if r.all = append(r.all, x); len(r.all) > 2*r.most+listed {
		r.cut()
	}
}

func (r *ranks) cut() {
	slices.SortFunc(r.all, func(a, b rank) int { return cmp.Or(cmp.Compare(a.at, b.at), strings.Compare(a.name, b.name)) })
	r.all = r.all[:min(len(r.all), r.most)]
}

// List lists queues; see glassq.Lister.
func (e *Engine) List(ctx context.Context, q glassq.QueueQuery) (l glassq.QueueList, err error) {
	first := ranks{most: q.Skip + q.Max}
	for name, more := q.After, true; more; {
		if ctx.Err() != nil {
			return l, ctx.Err()
		}
		if err := e.begin(); err != nil {
			return l, err
		}
		some := e.st.QueuesBehind(name, listed)
		for _, x := range some {
			if name = x.Name; q.Only != nil && !glassq.Covers(q.Only, name) || !strings.Contains(name, q.Name) || !x.Has(q.Has) {
				continue
			}
			x.AddTo(&l.Totals)
			if w, ok := x.Waiters.(*waitList); ok {
				l.Totals.Waiters += len(w.list)
			}
			if q.Sort == glassq.SortName && len(first.all) >= first.most {
				continue
			}
			if at, ok := e.st.Rank(x, q.Sort); ok && first.most > 0 {
				first.add(rank{at, name})
			}
		}
		more = len(some) == listed
		e.end()
	}
	first.cut()
	if err := e.begin(); err != nil {
		return l, err
	}
	var queues []*state.Queue
	for _, r := range first.all[min(q.Skip, len(first.all)):] {
		if x := e.st.Queue(r.name); x != nil { // else it was dropped meanwhile
			queues = append(queues, x)
		}
	}
	l.Queues, err = e.describe(queues)
	return l, err
}
