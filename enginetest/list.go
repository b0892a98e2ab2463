package enginetest

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/glassq/glassq"
)

func listLaws() []law {
	return lawsOf[glassq.Lister]([]law{
		{"a list of queues has those that are asked for, in their order, and adds up all of them", listQueues},
	})
}

// listQueues compares every list with what Queues says.
func listQueues(w *world) {
	const queues = 40
	var names []string
	for i := range queues {
		names = append(names, fmt.Sprintf("%c.%d", 'a'+i%3, i))
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	rnd.Shuffle(queues, func(i, k int) { names[i], names[k] = names[k], names[i] })
	for i, name := range names { // the oldest task is not that of the first name
		w.put(tasks(name, strings.Split("12345", "")[:1+i%5]...)...)
		switch i % 4 {
		case 1:
			for _, l := range w.reserve(name, 1) {
				w.nack(glassq.Nack{Token: l.Token(), Dead: true})
			}
		case 2:
			_, err := w.store().Configure(w.Context(), name, glassq.SettingsChange{Paused: new(true)})
			w.ok("Configure", err)
		case 3:
			w.reserve(name, 1+i%3)
		}
	}
	w.ok("Drop", w.store().Drop(w.Context(), names[4]))
	all, err := w.store().Queues(w.Context())
	w.ok("Queues", err)
	first := map[string]uint64{} // the number of the ready task with the lowest one
	for _, q := range all {
		first[q.Name] = 1 << 60
		peeked, _, err := w.store().Peek(w.Context(), q.Name, glassq.Ready, 0, 1)
		if w.ok("Peek", err); len(peeked) > 0 {
			first[q.Name] = peeked[0].Number
		}
	}
	urgency := func(q *glassq.QueueInfo) int {
		switch {
		case q.Settings.Paused && q.Ready > 0:
			return 0
		case q.Dead > 0:
			return 1
		}
		return 2
	}
	has := map[string]func(q *glassq.QueueInfo) bool{
		"":                func(*glassq.QueueInfo) bool { return true },
		glassq.HasReady:   func(q *glassq.QueueInfo) bool { return q.Ready > 0 },
		glassq.HasDelayed: func(q *glassq.QueueInfo) bool { return q.Delayed > 0 },
		glassq.HasLeased:  func(q *glassq.QueueInfo) bool { return q.Leased > 0 },
		glassq.HasDead:    func(q *glassq.QueueInfo) bool { return q.Dead > 0 },
		glassq.HasPaused:  func(q *glassq.QueueInfo) bool { return q.Settings.Paused },
	}
	sorts := map[string]func(a, b *glassq.QueueInfo) int{
		glassq.SortName:   func(a, b *glassq.QueueInfo) int { return 0 },
		glassq.SortReady:  func(a, b *glassq.QueueInfo) int { return cmp.Compare(b.Ready, a.Ready) },
		glassq.SortDead:   func(a, b *glassq.QueueInfo) int { return cmp.Compare(b.Dead, a.Dead) },
		glassq.SortOldest: func(a, b *glassq.QueueInfo) int { return cmp.Compare(first[a.Name], first[b.Name]) },
		glassq.SortUrgent: func(a, b *glassq.QueueInfo) int {
			return cmp.Or(cmp.Compare(urgency(a), urgency(b)), cmp.Compare(first[a.Name], first[b.Name]))
		},
	}
	for sort, order := range sorts {
		for what, fits := range has {
			for _, q := range []glassq.QueueQuery{{}, {Max: 7}, {Skip: 9, Max: 11}, {Skip: 30, Max: 100}, {After: "b", Max: 100},
				{Name: "2", Max: 100}, {Only: []string{"a.*", names[1]}, Max: 100}} {
				q.Sort, q.Has = sort, what
				var want glassq.QueueList
				for _, x := range all {
					if q.Only != nil && !glassq.Covers(q.Only, x.Name) || x.Name <= q.After ||
						!strings.Contains(x.Name, q.Name) || !fits(&x) {
						continue
					}
					addTo(&want.Totals, &x)
					if sort != glassq.SortUrgent || x.Delayed+x.Ready+x.Leased+x.Dead > 0 {
						want.Queues = append(want.Queues, x)
					}
				}
				slices.SortStableFunc(want.Queues, func(a, b glassq.QueueInfo) int { return order(&a, &b) })
				want.Queues = want.Queues[min(q.Skip, len(want.Queues)):]
				want.Queues = want.Queues[:min(q.Max, len(want.Queues))]
				got, err := w.store().(glassq.Lister).List(w.Context(), q)
				w.ok("List", err)
				if g, x := listed(got), listed(want); g != x {
					w.Fatalf("List(%+v) = %s; want %s", q, g, x)
				}
			}
		}
	}
}

func addTo(t *glassq.QueueTotals, q *glassq.QueueInfo) {
	t.Queues++
	if q.Delayed+q.Ready+q.Leased+q.Dead > 0 {
		t.Holding++
	}
	if q.Settings.Paused {
		t.Paused++
	}
	t.Delayed, t.Ready, t.Leased, t.Dead = t.Delayed+q.Delayed, t.Ready+q.Ready, t.Leased+q.Leased, t.Dead+q.Dead
	t.Bytes, t.Pending = t.Bytes+q.Bytes, t.Pending+q.Pending
	t.Books.Put, t.Books.Dead.Nacked = t.Books.Put+q.Books.Put, t.Books.Dead.Nacked+q.Books.Dead.Nacked
}

// listed is what a list says, but for the times in it.
func listed(l glassq.QueueList) string {
	var b strings.Builder
	for _, q := range l.Queues {
		fmt.Fprintf(&b, "%s %d %d %d %d %v; ", q.Name, q.Delayed, q.Ready, q.Leased, q.Dead, q.Oldest > 0)
	}
	fmt.Fprintf(&b, "%+v", l.Totals)
	return b.String()
}
