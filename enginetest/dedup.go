package enginetest

import (
	"slices"
	"sync"
	"time"

	"github.com/glassq/glassq"
)

// Dedup: positions of a run for ever, other ids for ten minutes per queue.
func dedupLaws() []law {
	return slices.Concat([]law{
		{"an id is a duplicate within its queue for 10 minutes", idWindow},
		{"an id put by many callers at once is stored once", idRace},
		{"a duplicate follow-up is not stored, and the ack holds", duplicateFollowUp},
	}, perEnd("positions of a run are put once, for ever", positionsForEver),
		perEnd("an id is remembered", idRemembered))
}

func named(queue, id string) glassq.Task {
	return glassq.Task{Queue: queue, ID: id, Body: []byte(id)}
}

// duplicates puts ts and checks which were duplicates.
func (w *world) duplicates(ts []glassq.Task, want ...bool) {
	w.Helper()
	for i, r := range w.put(ts...) {
		if r.Duplicate != want[i] || (r.Number == 0) != want[i] {
			w.Fatalf("Put of id %q = %+v; want duplicate %v", ts[i].TaskID(), r, want[i])
		}
	}
}

func idWindow(w *world) {
	w.duplicates([]glassq.Task{named("q", "a"), named("q", "b"), named("q", "a"), named("p", "a")}, false, false, true,
		false)
	w.want("q", "a", "b")
	w.books("q", glassq.Books{Put: 2})
	w.books("p", glassq.Books{Put: 1})
	time.Sleep(glassq.DedupWindow - time.Second)
	w.duplicates([]glassq.Task{named("q", "a"), {Queue: "q"}, {Queue: "q"}}, true, false, false)
	time.Sleep(2 * time.Second)
	w.duplicates([]glassq.Task{named("q", "a")}, false)
}

func idRace(w *world) {
	const callers, ids = 8, 50
	var mu sync.Mutex
	stored := map[string]int{}
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for _, id := range numbered(ids) {
				r, err := w.store().Put(w.Context(), []glassq.Task{named("q", id)})
				if err != nil {
					w.Errorf("Put = %v", err)
					return
				}
				if !r[0].Duplicate {
					mu.Lock()
					stored[id]++
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	for _, id := range numbered(ids) {
		if stored[id] != 1 {
			w.Errorf("id %s was stored %d times; want once", id, stored[id])
		}
	}
	w.books("q", glassq.Books{Put: ids})
}

func duplicateFollowUp(w *world) {
	w.put(named("next", "once"))
	w.put(tasks("q", "a")...)
	a := withResult(w.one("q"), glassq.OK, "result")
	a.Put = []glassq.Task{named("next", "once"), named("next", "twice")}
	w.ack(a)
	w.want("next", "once", "twice")
	w.want("results", "result")
	w.books("next", glassq.Books{Put: 2})
}

func positionsForEver(w *world, end func()) {
	w.put(dense("q", "r", 5)...)
	w.ack(acksOf(w.reserve("q", 3))...)
	for range 2 {
		end()
		// In another queue as well: the position is the run's.
		w.duplicates(dense("p", "r", 5), true, true, true, true, true)
		time.Sleep(100 * 24 * time.Hour)
	}
	w.duplicates(dense("q", "r", 7)[4:], true, false, false)
	w.runBooks("r", glassq.Books{Put: 7, OK: 3})
	w.duplicates(dense("q", "s", 1), false)
}

func idRemembered(w *world, end func()) {
	w.duplicates([]glassq.Task{named("q", "a"), named("q", "b")}, false, false)
	w.ack(glassq.Ack{Token: w.one("q").Token()})
	for range 3 {
		end()
		w.duplicates([]glassq.Task{named("q", "a"), named("q", "b")}, true, true)
		time.Sleep(2 * time.Minute)
	}
	time.Sleep(glassq.DedupWindow)
	w.duplicates([]glassq.Task{named("q", "a"), named("q", "b")}, false, false)
}
