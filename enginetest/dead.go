package enginetest

import (
	"time"

	"github.com/glassq/glassq"
)

// P8, the column of the dead: attempts, nacked, expired, purged, cancelled.
func deadLaws() []law {
	return []law{
		{"P8 a task whose tries are used up by nacks is dead", attemptsByNack},
		{"P8 a task whose tries are used up by expiries is dead", attemptsByExpiry},
		{"P8 the queue's attempts hold for tasks that name none", attemptsOfQueue},
		{"P8 a task nacked as dead keeps its reason", nackedDead},
		{"P8 redrive makes dead tasks pending again, their tries counted anew", redrive},
		{"P8 redrive of some touches those that the filter means, and no others", redriveSome},
		{"P8 purge of some drops those that the filter means, and no others", purgeSome},
		{"P8 ttl ends what is delayed or ready", ttlEnds},
		{"P8 ttl lets a leased task finish", ttlLeased},
		{"P8 purge ends what is delayed or ready", purge},
		{"P8 purge of the dead drops them and leaves the books", purgeDead},
		{"P8 a queue with leases is not dropped", drop},
	}
}

func attemptsByNack(w *world) {
	t := dense("q", "r", 1)[0]
	t.Attempts = 3
	w.put(t)
	for attempt := 1; attempt <= 3; attempt++ {
		w.books("q", glassq.Books{Put: 1})
		l := w.one("q")
		if l.Attempt != attempt {
			w.Fatalf("attempt = %d; want %d", l.Attempt, attempt)
		}
		w.nack(glassq.Nack{Token: l.Token(), Delay: glassq.AtOnce, Reason: "again"})
	}
	dead := glassq.Books{Put: 1, Dead: glassq.DeadCounts{Attempts: 1}}
	w.books("q", dead)
	w.runBooks("r", dead)
	w.ids("r", glassq.IDsDead, glassq.Interval{First: 0, Last: 0})
	w.held("q", 0, 0, 0, 1)
	time.Sleep(24 * time.Hour)
	w.none("q")
}

func attemptsByExpiry(w *world) {
	w.put(glassq.Task{Queue: "q", Body: []byte("a"), Attempts: 2})
	w.one("q")
	time.Sleep(leaseTime + 10*time.Millisecond)
	w.one("q")
	time.Sleep(leaseTime - time.Second)
	w.books("q", glassq.Books{Put: 1})
	time.Sleep(time.Second + 10*time.Millisecond)
	w.books("q", glassq.Books{Put: 1, Dead: glassq.DeadCounts{Attempts: 1}})
	w.held("q", 0, 0, 0, 1)
}

func attemptsOfQueue(w *world) {
	two := 2
	w.configure("q", glassq.SettingsChange{Attempts: &two})
	ts := tasks("q", "the queue's", "its own")
	ts[1].Attempts = 3
	w.put(ts...)
	w.put(tasks("p", "default")...)
	for range 2 {
		for _, l := range w.reserve("q", 2) {
			w.nack(glassq.Nack{Token: l.Token(), Delay: glassq.AtOnce})
		}
	}
	w.want("q", "its own")
	w.held("q", 0, 0, 1, 1)
	for range glassq.DefaultAttempts {
		w.held("p", 0, 1, 0, 0)
		w.nack(glassq.Nack{Token: w.one("p").Token(), Delay: glassq.AtOnce})
	}
	w.held("p", 0, 0, 0, 1)
}

func nackedDead(w *world) {
	w.put(tasks("q", "a", "b")...)
	w.nack(glassq.Nack{Token: w.one("q").Token(), Dead: true, Reason: "410 gone"})
	w.books("q", glassq.Books{Put: 2, Dead: glassq.DeadCounts{Nacked: 1}})
	if p := w.peek("q", glassq.Dead); len(p) != 1 || string(p[0].Body) != "a" || p[0].Reason != "410 gone" ||
		p[0].State != glassq.Dead || p[0].Attempt != 1 {
		w.Errorf("Peek of the dead = %+v; want a, attempt 1, with its reason", p)
	}
	w.want("q", "b")
}

func redrive(w *world) {
	ts := dense("q", "r", 4)
	for i := range ts {
		ts[i].Attempts = 1
	}
	w.put(ts...)
	w.setRun("r", glassq.RunChange{Sealed: true, Total: 4})
	for i, l := range w.reserve("q", 4) {
		w.nack(glassq.Nack{Token: l.Token(), Delay: glassq.AtOnce, Dead: i%2 == 0})
	}
	dead := glassq.Books{Put: 4, Dead: glassq.DeadCounts{Attempts: 2, Nacked: 2}}
	w.books("q", dead)
	w.runBooks("r", dead)
	if !w.run("r").Complete {
		w.Error("a sealed run of dead tasks is not complete")
	}
	if n, err := w.store().Redrive(w.Context(), "q", 1); n != 1 || err != nil {
		w.Fatalf("Redrive(1) = %d, %v; want 1", n, err)
	}
	w.held("q", 0, 1, 0, 3)
	if w.run("r").Complete {
		w.Error("the run is complete with a redriven task pending")
	}
	if n, err := w.store().Redrive(w.Context(), "q", 0); n != 3 || err != nil {
		w.Fatalf("Redrive of all = %d, %v; want 3", n, err)
	}
	w.books("q", glassq.Books{Put: 4})
	w.runBooks("r", glassq.Books{Put: 4})
	w.ids("r", glassq.IDsDead)
	ls := w.want("q", "0", "1", "2", "3")
	for _, l := range ls {
		if l.Attempt != 1 {
			w.Errorf("attempt after redrive = %d; want 1", l.Attempt)
		}
	}
	w.ack(acksOf(ls)...)
	w.runBooks("r", glassq.Books{Put: 4, OK: 4})
	if n, err := w.store().Redrive(w.Context(), "q", 0); n != 0 || err != nil {
		w.Errorf("Redrive of none = %d, %v; want 0", n, err)
	}
}

// deadOnes makes nine dead tasks: of run r the positions 0 to 3, of which the odd ones were nacked, of
// no run those numbered 5 to 8, of which the even ones were nacked, and one with the id "own".
func deadOnes(w *world) {
	ts := append(dense("q", "r", 4), tasks("q", "five", "six", "seven", "eight")...)
	ts = append(ts, glassq.Task{Queue: "q", ID: "own", Body: []byte("own")})
	for i := range ts {
		ts[i].Attempts = 1
	}
	w.put(ts...)
	w.setRun("r", glassq.RunChange{Sealed: true, Total: 4})
	for i, l := range w.reserve("q", 9) {
		reason := []string{"no host", "refused: 410 gone"}[i/4%2]
		w.nack(glassq.Nack{Token: l.Token(), Delay: glassq.AtOnce, Dead: i%2 == 1, Reason: reason})
	}
}

func redriveSome(w *world) {
	deadOnes(w)
	left := glassq.Books{Put: 9, Dead: glassq.DeadCounts{Attempts: 5, Nacked: 4}}
	w.books("q", left)
	for _, c := range []struct {
		name   string
		f      glassq.DeadFilter
		want   []string
		nacked uint64 // of want
		err    glassq.Code
	}{
		{name: "a task that is not dead", f: glassq.DeadFilter{Tasks: []string{"~99", "r/7", "none/1"}}},
		{name: "an id that nobody has", f: glassq.DeadFilter{Tasks: []string{"nobody"}}, err: glassq.CodeNotFound},
		{name: "another run", f: glassq.DeadFilter{Run: "s"}},
		{name: "a number", f: glassq.DeadFilter{Tasks: []string{"~6"}}, want: []string{"six"}, nacked: 1},
		{name: "a position", f: glassq.DeadFilter{Tasks: []string{"r/1"}}, want: []string{"1"}, nacked: 1},
		{name: "an id of its own", f: glassq.DeadFilter{Tasks: []string{"own"}}, want: []string{"own"}},
		{name: "of a run, one that is nacked", f: glassq.DeadFilter{Run: "r", Why: glassq.DeadNacked}, want: []string{"3"}, nacked: 1},
		{name: "by reason, the oldest", f: glassq.DeadFilter{Reason: "410", Max: 1}, want: []string{"five"}},
		{name: "of a run", f: glassq.DeadFilter{Run: "r"}, want: []string{"0", "2"}},
		{name: "all", want: []string{"seven", "eight"}, nacked: 1},
	} {
		n, err := w.store().RedriveSome(w.Context(), "q", c.f)
		if c.err != "" {
			w.code("RedriveSome of "+c.name, err, c.err)
			continue
		}
		if err != nil || n != len(c.want) {
			w.Fatalf("RedriveSome of %s = %d, %v; want %d", c.name, n, err, len(c.want))
		}
		if w.sys.Restart(w.T); len(c.want) == 0 {
			w.none("q")
			continue
		}
		ls := w.want("q", c.want...)
		for _, l := range ls {
			if l.Attempt != 1 {
				w.Errorf("attempt after the redrive of %s = %d; want 1", c.name, l.Attempt)
			}
		}
		w.none("q")
		w.ack(acksOf(ls)...)
		left.OK += uint64(len(ls))
		left.Dead.Nacked -= c.nacked
		left.Dead.Attempts -= uint64(len(ls)) - c.nacked
		w.books("q", left)
	}
	w.runBooks("r", glassq.Books{Put: 4, OK: 4})
	w.ids("r", glassq.IDsDead)
	_, err := w.store().RedriveSome(w.Context(), "no-such", glassq.DeadFilter{})
	w.code("RedriveSome of an unknown queue", err, glassq.CodeNotFound)
}

func purgeSome(w *world) {
	deadOnes(w)
	n, err := w.store().PurgeSome(w.Context(), "q", glassq.DeadFilter{Tasks: []string{"~5", "own", "r/0"}})
	if n != 3 || err != nil {
		w.Fatalf("PurgeSome of three named ones = %d, %v; want 3", n, err)
	}
	n, err = w.store().PurgeSome(w.Context(), "q", glassq.DeadFilter{Why: glassq.DeadNacked, Max: 3})
	if n != 3 || err != nil {
		w.Fatalf("PurgeSome of three nacked ones = %d, %v; want 3", n, err)
	}
	w.sys.Kill(w.T)
	w.held("q", 0, 0, 0, 3)
	w.books("q", glassq.Books{Put: 9, Dead: glassq.DeadCounts{Attempts: 5, Nacked: 4}}) // they stay booked
	w.runBooks("r", glassq.Books{Put: 4, Dead: glassq.DeadCounts{Attempts: 2, Nacked: 2}})
	w.put(glassq.Task{Queue: "q", ID: "own", Body: []byte("again")}) // its id is free
	w.want("q", "again")
	if n, err := w.store().Redrive(w.Context(), "q", 0); n != 3 || err != nil {
		w.Errorf("Redrive of the others = %d, %v; want 3", n, err)
	}
	w.want("q", "2", "seven", "eight")
}

func ttlEnds(w *world) {
	ts := dense("q", "r", 3)
	ts[0].TTL = 10 * time.Second
	ts[1].TTL, ts[1].Delay = 10*time.Second, time.Minute
	w.put(ts...)
	w.held("q", 1, 2, 0, 0)
	time.Sleep(9990 * time.Millisecond)
	w.books("q", glassq.Books{Put: 3})
	time.Sleep(20 * time.Millisecond)
	expired := glassq.Books{Put: 3, Dead: glassq.DeadCounts{Expired: 2}}
	w.books("q", expired)
	w.runBooks("r", expired)
	w.ids("r", glassq.IDsDead, glassq.Interval{First: 0, Last: 1})
	w.held("q", 0, 1, 0, 0) // expired tasks are not kept
	w.want("q", "2")
	time.Sleep(time.Hour)
	w.want("q", "2")
}

func ttlLeased(w *world) {
	w.put(glassq.Task{Queue: "q", Body: []byte("a"), TTL: 10 * time.Second})
	l := w.one("q")
	time.Sleep(30 * time.Second)
	w.books("q", glassq.Books{Put: 1})
	w.ack(withResult(l, glassq.OK, "in time"))
	w.books("q", glassq.Books{Put: 1, OK: 1})
	w.want("results", "in time")
}

func purge(w *world) {
	ts := tasks("q", numbered(9)...)
	ts[7].Delay, ts[8].Delay = time.Hour, time.Hour
	w.put(ts...)
	ls := w.reserve("q", 3)
	w.nack(glassq.Nack{Token: ls[0].Token(), Dead: true})
	if n, err := w.store().Purge(w.Context(), "q", glassq.Delayed); n != 2 || err != nil {
		w.Fatalf("Purge of delayed = %d, %v; want 2", n, err)
	}
	w.held("q", 0, 4, 2, 1)
	w.put(glassq.Task{Queue: "q", Body: []byte("late"), Delay: time.Hour})
	if n, err := w.store().Purge(w.Context(), "q"); n != 5 || err != nil {
		w.Fatalf("Purge = %d, %v; want 5", n, err)
	}
	w.held("q", 0, 0, 2, 1)
	w.none("q")
	w.ack(glassq.Ack{Token: ls[1].Token()})
	w.books("q", glassq.Books{Put: 10, OK: 1, Dead: glassq.DeadCounts{Nacked: 1, Purged: 7}})
	time.Sleep(2 * time.Hour)
	w.want("q", string(ls[2].Body))
	w.put(tasks("q", "new")...)
	w.want("q", "new")
	_, err := w.store().Purge(w.Context(), "no-such")
	w.code("Purge of an unknown queue", err, glassq.CodeNotFound)
}

func purgeDead(w *world) {
	w.put(tasks("q", "a", "b")...)
	w.nack(glassq.Nack{Token: w.one("q").Token(), Dead: true})
	if n, err := w.store().Purge(w.Context(), "q", glassq.Dead); n != 1 || err != nil {
		w.Fatalf("Purge of the dead = %d, %v; want 1", n, err)
	}
	w.books("q", glassq.Books{Put: 2, Dead: glassq.DeadCounts{Nacked: 1}})
	w.held("q", 0, 1, 0, 0)
	if n, err := w.store().Redrive(w.Context(), "q", 0); n != 0 || err != nil {
		w.Errorf("Redrive of purged dead tasks = %d, %v; want 0", n, err)
	}
	w.want("q", "b")
}

func drop(w *world) {
	three := 3
	w.configure("q", glassq.SettingsChange{Attempts: &three})
	w.put(tasks("q", "a", "b")...)
	l := w.one("q")
	w.code("Drop with a lease", w.store().Drop(w.Context(), "q"), glassq.CodeBadRequest)
	w.held("q", 0, 1, 1, 0)
	w.ack(glassq.Ack{Token: l.Token()})
	w.ok("Drop", w.store().Drop(w.Context(), "q"))
	w.code("Drop again", w.store().Drop(w.Context(), "q"), glassq.CodeNotFound)
	w.sys.Kill(w.T)
	_, err := w.store().Queues(w.Context(), "q")
	w.code("Queues of a dropped queue", err, glassq.CodeNotFound)
	w.put(tasks("q", "new")...)
	if q := w.queue("q"); q.Books != (glassq.Books{Put: 1}) || q.Settings != (glassq.Settings{}) {
		w.Errorf("a queue made anew = %+v; want one put and no settings", q)
	}
	w.want("q", "new")
}
