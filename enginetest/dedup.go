package enginetest

import (
	"fmt"
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
		{"an id is free again when its task ended without an ack", idFree},
		{"a task that is acked, or kept dead, keeps its id for 10 minutes", idKept},
		{"with unique pending a task holds its id for as long as it is there", idPending},
		{"max_unique is the most ids that tasks hold", idMost},
		{"a change of unique holds for ids that are taken", idChange},
	}, perEnd("what holds an id does so across an end", idAcross), perEnd("positions of a run are put once, for ever", positionsForEver),
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

// free checks that a put of each id is no duplicate, by putting it.
func (w *world) free(queue string, ids ...string) {
	w.Helper()
	for _, id := range ids {
		w.duplicates([]glassq.Task{named(queue, id)}, false)
	}
}

// taken checks that a put of each id is a duplicate.
func (w *world) taken(queue string, ids ...string) {
	w.Helper()
	for _, id := range ids {
		w.duplicates([]glassq.Task{named(queue, id)}, true)
	}
}

// ways in which a task ends without an ack, of which it is not kept. Each is given a task that is
// to be put.
var endings = []struct {
	name string
	end  func(w *world, t glassq.Task)
}{
	{"purged", func(w *world, t glassq.Task) { w.put(t); w.purge(t.Queue, glassq.Ready, 1) }},
	{"purged while delayed", func(w *world, t glassq.Task) {
		t.Delay = time.Hour
		w.put(t)
		w.purge(t.Queue, glassq.Delayed, 1)
	}},
	{"expired", func(w *world, t glassq.Task) {
		t.TTL = time.Second
		w.put(t)
		time.Sleep(2 * time.Second)
	}},
	{"expired when it came back", func(w *world, t glassq.Task) {
		t.TTL = time.Second
		w.put(t)
		l := w.one(t.Queue)
		time.Sleep(2 * time.Second)
		w.nack(glassq.Nack{Token: l.Token(), Delay: glassq.AtOnce})
	}},
	{"dead and purged", func(w *world, t glassq.Task) {
		w.put(t)
		w.nack(glassq.Nack{Token: w.one(t.Queue).Token(), Dead: true})
		w.taken(t.Queue, t.ID)
		w.purge(t.Queue, glassq.Dead, 1)
	}},
	{"cancelled", func(w *world, t glassq.Task) {
		t.Run = "run-of-" + t.Queue
		w.put(t)
		if _, err := w.store().CancelRun(w.Context(), t.Run); err != nil {
			w.Errorf("CancelRun(%s) = %v", t.Run, err)
		}
	}},
	{"deleted with its queue", func(w *world, t glassq.Task) {
		w.put(t)
		if err := w.store().Drop(w.Context(), t.Queue); err != nil {
			w.Errorf("Drop(%s) = %v", t.Queue, err)
		}
	}},
}

// purge ends the want tasks of queue that are in a state.
func (w *world) purge(queue string, in glassq.State, want int) {
	w.Helper()
	if n, err := w.store().Purge(w.Context(), queue, in); n != want || err != nil {
		w.Errorf("Purge(%s, %v) = %d, %v; want %d", queue, in, n, err, want)
	}
}

func (w *world) unique(queue, unique string, most int64) {
	w.Helper()
	c := glassq.SettingsChange{Unique: &unique, MaxUnique: &most}
	if _, err := w.store().Configure(w.Context(), queue, c); err != nil {
		w.Fatalf("Configure(%s, unique %q) = %v", queue, unique, err)
	}
}

func idFree(w *world) {
	for _, unique := range []string{"", glassq.UniquePending} {
		for i, e := range endings {
			queue := fmt.Sprintf("q%s%d", unique, i)
			w.unique(queue, unique, 0)
			e.end(w, named(queue, e.name))
			w.free(queue, e.name)
			w.taken(queue, e.name)
			if n := w.queue(queue).Ready; n != 1 {
				w.Errorf("%s: %d tasks are ready; want the one that was put again", e.name, n)
			}
		}
	}
}

func idKept(w *world) {
	w.free("q", "acked", "dead")
	w.ack(glassq.Ack{Token: w.one("q").Token(), Outcome: glassq.Failed})
	w.nack(glassq.Nack{Token: w.one("q").Token(), Dead: true})
	time.Sleep(glassq.DedupWindow - time.Second)
	w.taken("q", "acked", "dead")
	time.Sleep(2 * time.Second)
	w.free("q", "acked", "dead")
}

// idPending: each task is left in another state, and all are older than the window.
func idPending(w *world) {
	w.unique("q", glassq.UniquePending, 0)
	old := func() { time.Sleep(2 * glassq.DedupWindow) }
	w.free("q", "leased", "dead")
	w.nack(glassq.Nack{Token: w.reserveFor("q", 2, glassq.MaxLease)[1].Token(), Dead: true})
	late := named("q", "delayed")
	late.Delay = 24 * time.Hour
	w.put(late)
	w.free("q", "ready")
	old()
	w.taken("q", "leased", "dead", "delayed", "ready")
	w.free("q", "acked soon")
	leased := w.reserve("q", 2)
	w.ack(acksOf(leased)...) // ready and acked soon
	w.free("q", "ready")     // after its window an ack gives it free
	w.taken("q", "acked soon")
	old()
	w.free("q", "acked soon")
	w.taken("q", "leased", "dead", "delayed", "ready")
	if n, err := w.store().Redrive(w.Context(), "q", 0); n != 1 || err != nil {
		w.Errorf("Redrive = %d, %v; want 1", n, err)
	}
	w.taken("q", "dead")
	w.purge("q", glassq.Delayed, 1)
	w.free("q", "delayed")
}

func idMost(w *world) {
	w.unique("q", glassq.UniquePending, 2)
	full := func(want bool, ts ...glassq.Task) {
		w.Helper()
		_, err := w.store().Put(w.Context(), ts)
		if code := glassq.CodeOf(err); (code == glassq.CodeQueueFull) != want || !want && err != nil {
			w.Errorf("Put of %d tasks, the first with id %q = %v; want queue_full %v", len(ts), ts[0].ID, err, want)
		}
	}
	full(true, named("q", "a"), named("q", "b"), named("q", "c"))
	w.free("q", "a")
	full(true, named("q", "b"), named("q", "c"))
	w.free("q", "b")
	full(true, named("q", "c"))
	full(false, named("q", "a"), glassq.Task{Queue: "q"}) // neither asks for one more
	full(false, dense("q", "r", 1)...)
	w.ack(glassq.Ack{Token: w.one("q").Token()}) // of a; its id is taken, and held by no task
	w.taken("q", "a")
	w.free("q", "c")
	full(true, named("q", "d"))
	w.unique("q", "", 0)
	full(false, named("q", "d"))
}

// idChange: what is taken when unique changes goes on by the new rule.
func idChange(w *world) {
	w.free("q", "a")
	w.unique("q", glassq.UniquePending, 0)
	time.Sleep(2 * glassq.DedupWindow)
	w.taken("q", "a")
	w.unique("q", "", 0)
	w.free("q", "a")
	time.Sleep(2 * glassq.DedupWindow)
	w.unique("q", glassq.UniquePending, 0)
	w.free("q", "a") // was free when it changed
}

func idAcross(w *world, end func()) {
	w.unique("p", glassq.UniquePending, 2)
	w.free("p", "a", "b")
	w.free("q", "a", "b")
	end()
	w.purge("q", glassq.Ready, 2)
	end()
	w.free("q", "a", "b")
	time.Sleep(2 * glassq.DedupWindow)
	end()
	w.taken("p", "a", "b")
	_, err := w.store().Put(w.Context(), []glassq.Task{named("p", "c")})
	w.code("Put of a third id", err, glassq.CodeQueueFull)
	w.ack(glassq.Ack{Token: w.one("p").Token()})
	end()
	w.free("p", "a")
	w.taken("p", "b")
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
