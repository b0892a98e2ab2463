package enginetest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/glassq/glassq"
)

// P6: ack, result and follow-ups are one commit; one result per task.
func commitLaws() []law {
	return slices.Concat([]law{
		{"P6 a result carries its task's id, run, position and attempt", resultEnvelope},
		{"P6 a result goes to the ack's queue, the task's, the run's, or results", resultRoute},
		{"P6 follow-ups join the run unless they name another", followUps},
		{"P6 a follow-up with the id of a position of the run that it joins is that position", followUpPosition},
		{"P6 an ack whose result finds no room changes nothing", ackNoRoom},
		{"P6 a result and a follow-up find room together", ackNoRoomForAll},
		{"P6 an ack is answered for itself", ackEach},
		{"P6 a result is stored only when it was checked by its queue's schema of now", checkedResult},
		{"P6 callers that race for one lease make one result", raceForOne},
	}, perEnd("P6 an ack under way is done or not, with all it carries", ackUnderWay))
}

// checkedResult acks by number alone, by token, and with the schema of another time, one after the
// other and in one call: what was not checked is told with the queue and its schema, and nothing of
// it is done.
func checkedResult(w *world) {
	w.put(tasks("q", "a", "b", "c", "d")...)
	w.put(tasks("free", "e")...)
	a, b, c, d, e := w.one("q"), w.one("q"), w.one("q"), w.one("q"), w.one("free")
	older, newer := glassq.Schema(`{"type":"string"}`), glassq.Schema(`{"type":"object"}`)
	of := func(l *glassq.Lease, by glassq.Schema) glassq.Ack {
		ack := withResult(l, glassq.OK, "of "+string(l.Body))
		ack.Checked = by
		return ack
	}
	unchecked := func(err error, queue string, now glassq.Schema) {
		w.Helper()
		u, ok := errors.AsType[*glassq.UncheckedError](err)
		if !ok || u.Queue != queue || u.Schema != now || glassq.CodeOf(err) != glassq.CodeSchema {
			w.Fatalf("Ack = %v; want an UncheckedError that names %s and %s", err, queue, now)
		}
	}
	w.configure("q", glassq.SettingsChange{ResultSchema: &older})
	for _, end := range []func(){func() {}, func() { w.sys.Restart(w.T) }, func() { w.sys.PowerCut(w.T) }} {
		end()
		unchecked(w.tryAck(of(a, ""))[0], "q", older)
		alone := of(a, newer)
		alone.Token.Queue = ""
		unchecked(w.tryAck(alone)[0], "q", older)
	}
	w.none("results")
	w.ack(of(a, older))
	w.ack(of(a, "")) // over is over
	w.configure("q", glassq.SettingsChange{ResultSchema: &newer})
	errs, err := w.store().Ack(w.Context(), []glassq.Ack{of(b, older), of(c, newer), of(e, newer), of(e, ""),
		{Token: d.Token()}})
	w.ok("Ack", err)
	unchecked(errs[0], "q", newer)
	unchecked(errs[2], "free", "")
	if err := errors.Join(errs[1], errs[3], errs[4]); err != nil {
		w.Errorf("what was checked, or has no result: %v", err)
	}
	unchecked(w.waits().AckWait(w.Context(), of(b, older), -1), "q", newer)
	w.want("results", "of a", "of c", "of e")
	w.books("q", glassq.Books{Put: 4, OK: 3})
	none := glassq.Schema("")
	w.configure("q", glassq.SettingsChange{ResultSchema: &none})
	unchecked(w.tryAck(of(b, newer))[0], "q", "")
	w.ack(of(b, ""))
}

func resultEnvelope(w *world) {
	named := glassq.Task{Queue: "q", ID: "mine", Run: "r", Body: []byte("named")}
	position := dense("q", "r", 8)[7]
	rec := w.put(named, position, glassq.Task{Queue: "q", Body: []byte("plain")})
	w.nack(glassq.Nack{Token: w.one("q").Token(), Delay: glassq.AtOnce})
	for _, l := range w.reserve("q", 3) {
		a := withResult(&l, glassq.OK, "of "+string(l.Body))
		// The worker's claims about the task do not count.
		a.Result.ID, a.Result.Run, a.Result.Position, a.Result.Dense, a.Result.OfAttempt = "forged", "forged", 99, true, 88
		a.Result.Type, a.Result.Headers = glassq.TypeJSON, map[string]string{"k": "v"}
		w.ack(a)
	}
	got := w.reserve("results", 10)
	if len(got) != 3 {
		w.Fatalf("%d results; want 3", len(got))
	}
	for i, want := range []struct {
		body, id, run string
		n             uint32
		of            int
	}{
		{"of named", "mine", "r", 0, 2},
		{"of 7", "r/7", "r", 7, 1},
		{"of plain", glassq.AssignedID(rec[2].Number), "", 0, 1},
	} {
		g := &got[i]
		if string(g.Body) != want.body || g.TaskID() != want.id || g.Run != want.run || g.Position != want.n ||
			g.OfAttempt != want.of || g.Attempt != 1 || g.Type != glassq.TypeJSON || g.Headers["k"] != "v" {
			w.Errorf("result %d = %q id %q run %q n %d of %d attempt %d; want %+v",
				i, g.Body, g.TaskID(), g.Run, g.Position, g.OfAttempt, g.Attempt, want)
		}
	}
	if _, err := w.store().Run(w.Context(), "forged"); err == nil {
		w.Error("a result's claimed run was made")
	}
}

func resultRoute(w *world) {
	w.setRun("r", glassq.RunChange{Results: "of-run"})
	w.put(
		glassq.Task{Queue: "q", Body: []byte("ack"), Run: "r", ResultQueue: "of-task"},
		glassq.Task{Queue: "q", Body: []byte("task"), Run: "r", ResultQueue: "of-task"},
		glassq.Task{Queue: "q", Body: []byte("run"), Run: "r"},
		glassq.Task{Queue: "q", Body: []byte("default"), Run: "other"},
		glassq.Task{Queue: "q", Body: []byte("none")},
	)
	for i, l := range w.reserve("q", 5) {
		a := withResult(&l, glassq.OK, string(l.Body))
		if i == 0 {
			a.Result.Queue = "of-ack"
		}
		w.ack(a)
	}
	w.want("of-ack", "ack")
	w.want("of-task", "task")
	w.want("of-run", "run")
	w.want(glassq.DefaultResults, "default", "none")
}

func followUps(w *world) {
	w.put(glassq.Task{Queue: "q", Body: []byte("a"), Run: "r"}, glassq.Task{Queue: "q", Body: []byte("b")})
	for _, l := range w.reserve("q", 2) {
		a := withResult(&l, glassq.OK, "result")
		a.Put = []glassq.Task{
			{Queue: "next", Body: []byte("joins")},
			{Queue: "next", Body: []byte("apart"), Run: "s"},
			{Queue: "next", Body: []byte("same id"), ID: "one"},
		}
		w.ack(a)
	}
	ls := w.want("next", "joins", "apart", "same id", "joins", "apart")
	runs := make([]string, len(ls))
	for i := range ls {
		runs[i] = ls[i].Run
	}
	if want := []string{"r", "s", "r", "", "s"}; !slices.Equal(runs, want) {
		w.Errorf("runs of the follow-ups = %q; want %q", runs, want)
	}
	w.runBooks("r", glassq.Books{Put: 3, OK: 1})
	w.runBooks("s", glassq.Books{Put: 2})
	w.books("next", glassq.Books{Put: 5})
}

func followUpPosition(w *world) {
	w.put(dense("q", "r", 2)...)
	a := withResult(w.one("q"), glassq.OK, "result")
	a.Put = []glassq.Task{{Queue: "next", Body: []byte("there"), ID: "r/1"}, {Queue: "next", Body: []byte("new"), ID: "r/5"},
		{Queue: "next", Body: []byte("of another"), ID: "s/1"}}
	w.ack(a)
	ls := w.want("next", "new", "of another")
	if !ls[0].Dense || ls[0].Position != 5 || ls[1].Dense || ls[1].ID != "s/1" {
		w.Errorf("follow-ups = %+v; want position 5, and one with an id", ls)
	}
	w.ids("r", glassq.IDsPut, glassq.Interval{First: 0, Last: 1}, glassq.Interval{First: 5, Last: 5})
	w.runBooks("r", glassq.Books{Put: 4, OK: 1})
}

func ackNoRoomForAll(w *world) {
	two := int64(2)
	w.configure("small", glassq.SettingsChange{MaxTasks: &two})
	w.put(tasks("small", "in the way")...)
	w.put(tasks("q", "a")...)
	a := withResult(w.one("q"), glassq.OK, "result")
	a.Result.Queue, a.Put = "small", tasks("small", "up")
	w.code("Ack with two tasks for a queue with room for one", w.tryAck(a)[0], glassq.CodeQueueFull)
	w.held("small", 0, 1, 0, 0)
	w.ack(glassq.Ack{Token: w.one("small").Token()})
	w.ack(a)
	w.want("small", "result", "up")
}

func ackNoRoom(w *world) {
	one := int64(1)
	w.configure("small", glassq.SettingsChange{MaxTasks: &one})
	w.put(tasks("small", "in the way")...)
	w.put(tasks("q", "a", "b")...)
	ls := w.reserve("q", 2)
	result := withResult(&ls[0], glassq.OK, "result")
	result.Result.Queue, result.Put = "small", tasks("follow", "up")
	w.code("Ack with a result for a full queue", w.tryAck(result)[0], glassq.CodeQueueFull)
	follow := withResult(&ls[1], glassq.OK, "result")
	follow.Put = append(tasks("follow", "up"), tasks("small", "up")...)
	w.code("Ack with a follow-up for a full queue", w.tryAck(follow)[0], glassq.CodeQueueFull)
	w.books("q", glassq.Books{Put: 2})
	w.held("q", 0, 0, 2, 0)
	w.held("follow", 0, 0, 0, 0)
	w.held("results", 0, 0, 0, 0)
	w.ack(glassq.Ack{Token: w.one("small").Token()})
	w.ack(result)
	w.want("small", "result")
	w.want("follow", "up")
	w.books("q", glassq.Books{Put: 2, OK: 1})
}

func ackEach(w *world) {
	w.put(tasks("q", "a", "b", "c")...)
	ls := w.reserve("q", 3)
	stale := withResult(&ls[1], glassq.OK, "stale")
	stale.Token.Number += 1000
	errs := w.tryAck(withResult(&ls[0], glassq.OK, "ra"), stale, withResult(&ls[2], glassq.Failed, "rc"))
	if errs[0] != nil || errs[2] != nil {
		w.Errorf("Ack of good leases beside a lost one = %v, %v; want nil", errs[0], errs[2])
	}
	w.code("Ack of the lost one", errs[1], glassq.CodeLeaseLost)
	w.want("results", "ra", "rc")
	w.books("q", glassq.Books{Put: 3, OK: 1, Failed: 1})
}

func raceForOne(w *world) {
	const rounds, callers = 30, 4
	w.put(tasks("q", numbered(rounds)...)...)
	for range rounds {
		l := w.one("q")
		var wg sync.WaitGroup
		for c := range callers {
			wg.Go(func() {
				a := withResult(l, glassq.OK, fmt.Sprint(c))
				errs, err := w.store().Ack(w.Context(), []glassq.Ack{a})
				if err != nil || errs[0] != nil {
					w.Errorf("Ack by caller %d = %v, %v; want nil: it repeats another's", c, errs, err)
				}
			})
		}
		wg.Wait()
	}
	w.books("q", glassq.Books{Put: rounds, OK: rounds})
	w.books("results", glassq.Books{Put: rounds})
}

// ackUnderWay ends the engine while four callers ack with results and follow-ups.
func ackUnderWay(w *world, end func()) {
	const n, callers = 2000, 4
	w.put(tasks("q", numbered(n)...)...)
	ls := w.reserve("q", n)
	var mu sync.Mutex
	answered := map[string]bool{}
	enough := make(chan struct{})
	var wg sync.WaitGroup
	s := w.store()
	for c := range callers {
		wg.Go(func() {
			for i := c; i < n; i += callers {
				a := withResult(&ls[i], glassq.OK, string(ls[i].Body))
				a.Put = tasks("follow", string(ls[i].Body))
				errs, err := s.Ack(w.Context(), []glassq.Ack{a})
				if err != nil || errs[0] != nil {
					return
				}
				mu.Lock()
				answered[string(ls[i].Body)] = true
				if len(answered) == 20 {
					close(enough)
				}
				mu.Unlock()
			}
		})
	}
	<-enough
	end()
	wg.Wait()
	time.Sleep(2 * leaseTime)
	count := func(queue string) map[string]int {
		m := map[string]int{}
		for _, l := range w.drain(queue) {
			m[string(l.Body)]++
		}
		return m
	}
	left, results, follow := count("q"), count("results"), count("follow")
	for _, body := range numbered(n) {
		done := results[body] == 1 && follow[body] == 1 && left[body] == 0
		not := results[body] == 0 && follow[body] == 0 && left[body] == 1
		if !done && (!not || answered[body]) {
			w.Errorf("task %s, answered %v: delivered again %d times, %d results, %d follow-ups; want all of it or nothing",
				body, answered[body], left[body], results[body], follow[body])
		}
	}
}
