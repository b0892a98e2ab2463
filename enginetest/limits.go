package enginetest

import (
	"slices"
	"testing/synctest"
	"time"

	"github.com/glassq/glassq"
)

// P9, and the settings of queues: limits refuse aloud, and what was accepted stays.
func limitLaws() []law {
	return append([]law{
		{"P9 a put over max_tasks is refused whole", maxTasks},
		{"P9 a put over max_bytes is refused whole", maxBytes},
		{"a paused queue hands out nothing", paused},
		{"a rate is kept, without a burst to catch up", rateKept},
		{"stages are kept, and end a rate", stagesKept},
		{"peek shows pages without handing out", peekPages},
		{"an answer holds no more bytes than a put", answerBytes},
	}, perEnd("what a rate gives up is counted with the run, and its tasks stay late", rateGivenUp)...)
}

func maxTasks(w *world) {
	three := int64(3)
	w.configure("q", glassq.SettingsChange{MaxTasks: &three})
	w.put(tasks("q", "a", "b")...)
	mixed := append(tasks("p", "x"), tasks("q", "c", "d")...)
	_, err := w.store().Put(w.Context(), mixed)
	w.code("Put of 2 with room for 1", err, glassq.CodeQueueFull)
	w.books("q", glassq.Books{Put: 2})
	w.held("p", 0, 0, 0, 0)
	w.put(tasks("q", "c")...)
	_, err = w.store().Put(w.Context(), tasks("q", "d"))
	w.code("Put with no room", err, glassq.CodeQueueFull)
	l := w.one("q")
	_, err = w.store().Put(w.Context(), tasks("q", "d"))
	w.code("Put with one leased", err, glassq.CodeQueueFull)
	w.ack(glassq.Ack{Token: l.Token()})
	w.put(tasks("q", "d")...)
	w.want("q", "b", "c", "d")
}

func maxBytes(w *world) {
	most := int64(10_000)
	w.configure("q", glassq.SettingsChange{MaxBytes: &most})
	big := func(n int) glassq.Task { return glassq.Task{Queue: "q", Body: make([]byte, n)} }
	w.put(big(6000))
	_, err := w.store().Put(w.Context(), []glassq.Task{big(1), big(6000)})
	w.code("Put of 6,001 bytes with room for 4,000", err, glassq.CodeQueueFull)
	w.books("q", glassq.Books{Put: 1})
	w.put(big(3000))
	w.ack(glassq.Ack{Token: w.one("q").Token()})
	w.put(big(5000))
	w.books("q", glassq.Books{Put: 3, OK: 1})
}

func paused(w *world) {
	yes, no := true, false
	w.put(tasks("q", "a", "b")...)
	l := w.one("q")
	w.configure("q", glassq.SettingsChange{Paused: &yes})
	w.none("q")
	a := w.ask(glassq.Reserve{Queue: "q", Max: 1, Wait: -1, Lease: leaseTime})
	w.put(tasks("q", "c")...)
	time.Sleep(time.Second)
	if a.over() {
		w.Fatal("a paused queue ended a wait")
	}
	w.ack(glassq.Ack{Token: l.Token()}) // what is out may finish
	w.configure("q", glassq.SettingsChange{Paused: &no})
	synctest.Wait()
	if !a.over() || len(a.leases) != 1 || string(a.leases[0].Body) != "b" {
		w.Fatalf("the waiter after the pause: over %v, got %q; want b", a.over(), bodiesOf(a.leases))
	}
	w.want("q", "c")
}

func rateKept(w *world) {
	rate := 10.0
	w.configure("q", glassq.SettingsChange{Rate: &rate})
	w.put(tasks("q", numbered(200)...)...)
	for _, most := range []int{1, 50} {
		if n := handedOut(w, 5*time.Second, most); n < 48 || n > 52 {
			w.Errorf("a rate of 10/s gave %d in 5s to reserves of %d; want 50", n, most)
		}
		time.Sleep(time.Minute)
		if n := len(w.reserve("q", 50)); n > 2 {
			w.Errorf("after a minute without reserves, %d came at once; want no burst", n)
		}
	}
	none := 0.0
	w.configure("q", glassq.SettingsChange{Rate: &none})
	if n := len(w.reserve("q", 20)); n != 20 {
		w.Errorf("without a rate, Reserve(20) = %d; want 20", n)
	}
}

func rateGivenUp(w *world, end func()) {
	rate := 10.0
	w.configure("q", glassq.SettingsChange{Rate: &rate})
	w.put(dense("q", "r", 200)...)
	handedOut(w, 5*time.Second, 50)
	time.Sleep(3 * time.Second)
	late := func(from, to time.Duration) {
		w.Helper()
		ls := w.reserve("q", 1)
		for len(ls) == 0 {
			time.Sleep(50 * time.Millisecond)
			ls = w.reserve("q", 1)
		}
		if got := ls[0].Late; got < from || got > to {
			w.Errorf("a task is %v late; want %v to %v", got, from, to)
		}
	}
	late(2800*time.Millisecond, 3200*time.Millisecond)
	late(2800*time.Millisecond, 3200*time.Millisecond) // it does not catch up
	run := w.run("r")
	if run.Rate != rate || run.GivenUp < 28 || run.GivenUp > 31 {
		w.Errorf("the run has rate %v and %d given up; want 10 and about 29", run.Rate, run.GivenUp)
	}
	time.Sleep(100 * time.Millisecond) // hand-outs are written soon, and nobody waits for that
	end()
	late(2800*time.Millisecond, 3200*time.Millisecond)
	if again := w.run("r"); again.Rate != rate || again.GivenUp != run.GivenUp {
		w.Errorf("after a restart the run has rate %v and %d given up; want 10 and %d", again.Rate, again.GivenUp, run.GivenUp)
	}
	// An empty queue owes nothing, and neither does a paused one.
	w.reserve("q", 1)
	none := 0.0
	w.configure("q", glassq.SettingsChange{Rate: &none})
	w.reserve("q", 200)
	w.configure("q", glassq.SettingsChange{Rate: &rate})
	time.Sleep(time.Minute)
	w.put(dense("q", "s", 10)...)
	late(0, 250*time.Millisecond)
	yes, no := true, false
	w.configure("q", glassq.SettingsChange{Paused: &yes})
	time.Sleep(time.Minute)
	w.configure("q", glassq.SettingsChange{Paused: &no})
	late(0, 250*time.Millisecond)
	if run := w.run("s"); run.GivenUp != 0 {
		w.Errorf("a queue that was empty, and one that was paused, have %d given up; want 0", run.GivenUp)
	}
}

// handedOut counts what reserves of at most most get of q within d.
func handedOut(w *world, d time.Duration, most int) (got int) {
	for end := time.Now().Add(d); time.Now().Before(end); {
		ls, err := w.store().Reserve(w.Context(), glassq.Reserve{Queue: "q", Max: most, Wait: time.Until(end),
			Lease: time.Hour})
		w.ok("Reserve at a rate", err)
		got += len(ls)
	}
	return got
}

func stagesKept(w *world) {
	rate, stages := 1.0, "0..20/10s,20/5s"
	w.configure("q", glassq.SettingsChange{Rate: &rate})
	w.configure("q", glassq.SettingsChange{Stages: &stages})
	if s := w.queue("q").Settings; s.Rate != 0 || s.Stages != stages || s.StagesAt == 0 {
		w.Errorf("settings = %+v; want the stages with their start, and no rate", s)
	}
	w.put(tasks("q", numbered(400)...)...)
	for i, want := range []int{25, 75, 100, 100} { // 5 s each, the last beyond the stages
		if n := handedOut(w, 5*time.Second, 50); n < want-2 || n > want+2 {
			w.Errorf("in part %d of the stages %s %d were handed out; want %d", i, stages, n, want)
		}
		if now := w.queue("q").Rate; i == 0 && (now < 9.9 || now > 10.1) || i == 3 && now != 20 {
			w.Errorf("after part %d the rate is %v", i, now)
		}
	}
	w.configure("q", glassq.SettingsChange{Rate: &rate})
	if s := w.queue("q").Settings; s.Stages != "" || s.Rate != 1 {
		w.Errorf("settings = %+v; want a rate, and no stages", s)
	}
}

func answerBytes(w *world) {
	const large = glassq.MaxAnswer/3 - 1000
	var bodies []string
	for i := range 8 {
		body := make([]byte, large)
		body[0] = byte('a' + i)
		w.put(glassq.Task{Queue: "q", Body: body})
		bodies = append(bodies, string(body))
	}
	page, next, err := w.store().Peek(w.Context(), "q", glassq.Ready, 0, 1000)
	w.ok("Peek", err)
	if len(page) != 3 || next == 0 {
		w.Fatalf("a page has %d large tasks, next %d; want 3 and another page", len(page), next)
	}
	page, _, err = w.store().Peek(w.Context(), "q", glassq.Ready, next, 1000)
	w.ok("Peek", err)
	if len(page) != 3 || string(page[0].Body) != bodies[3] {
		w.Fatalf("the next page has %d large tasks; want 3, from the fourth one on", len(page))
	}
	for _, take := range []bool{false, true} {
		got, err := w.store().Reserve(w.Context(), glassq.Reserve{Queue: "q", Max: 1000, Lease: leaseTime, Take: take})
		w.ok("Reserve", err)
		if !slices.Equal(bodiesOf(got), bodies[:3]) {
			w.Fatalf("Reserve of 1,000, take %v = %d large tasks; want the next 3", take, len(got))
		}
		bodies = bodies[3:]
	}
	if got := w.reserve("q", 1000); !slices.Equal(bodiesOf(got), bodies) {
		w.Fatalf("the last Reserve = %d tasks; want %d", len(got), len(bodies))
	}
}

func peekPages(w *world) {
	ts := tasks("q", numbered(25)...)
	for i := range ts {
		ts[i].Priority = glassq.Level(i % 3)
	}
	w.put(ts...)
	var all []string
	cursor, pages := uint64(0), 0
	for {
		page, next, err := w.store().Peek(w.Context(), "q", glassq.Ready, cursor, 10)
		w.ok("Peek", err)
		if len(page) > 10 {
			w.Fatalf("a page of 10 has %d", len(page))
		}
		for _, p := range page {
			if p.State != glassq.Ready || p.Attempt != 0 {
				w.Errorf("peeked task = %+v; want it ready, never handed out", p)
			}
			all = append(all, string(p.Body))
		}
		if cursor, pages = next, pages+1; next == 0 || pages > 25 {
			break
		}
	}
	want := numbered(25)
	if len(all) != 25 {
		w.Fatalf("peek showed %q; want all 25, oldest first", all)
	}
	for i := range all {
		if all[i] != want[i] {
			w.Fatalf("peek showed %q; want all 25, oldest first", all)
		}
	}
	w.held("q", 0, 25, 0, 0)
	if l := w.one("q"); l.Attempt != 1 {
		w.Errorf("attempt after a peek = %d; want 1", l.Attempt)
	}
	if p := w.peek("q", glassq.Leased); len(p) != 1 || p[0].Attempt != 1 || p[0].Due <= 0 || p[0].Due > leaseTime {
		w.Errorf("peeked lease = %+v; want attempt 1, due within %v", p, leaseTime)
	}
}
