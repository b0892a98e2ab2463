package enginetest

import (
	"errors"
	"reflect"
	"slices"
	"testing/synctest"
	"time"

	"github.com/glassq/glassq"
)

// P8: runs, their books, and waiting for them.
func runLaws() []law {
	return slices.Concat([]law{
		{"P8 results are puts of their queue and not of the run", resultsBooked},
		{"P8 the sets of positions tell what became of each", positionSets},
		{"P8 another source, queue or results queue is a conflict", runConflicts},
		{"P8 a sealed run keeps its total and takes nothing beyond it", sealed},
		{"P8 a run is complete when it is sealed and nothing is pending", completes},
		{"P8 cancel ends what nobody works on, and seals", cancelRun},
		{"P8 a job counts what was done without a result", jobWithoutResults},
		{"AwaitRun waits until the run exists, is complete, is drained", awaitPhases},
		{"AwaitRun ends when its time is up", awaitInVain},
		{"runs are listed newest first", listRuns},
	}, perEnd("P8 the books of runs and queues survive", booksSurvive),
		perEnd("P8 a run and its retries are one job", retriesAreOneJob),
		perEnd("P8 a run that is over is forgotten, and no other", runsGo))
}

func resultsBooked(w *world) {
	w.put(dense("q", "r", 3)...)
	ls := w.reserve("q", 3)
	w.ack(withResult(&ls[0], glassq.OK, "x"), withResult(&ls[1], glassq.Failed, "y"))
	w.runBooks("r", glassq.Books{Put: 3, OK: 1, Failed: 1})
	w.books("results", glassq.Books{Put: 2})
	if r := w.run("r"); r.Waiting != 2 || r.Results != glassq.DefaultResults {
		w.Errorf("run with two results not taken = %+v; want 2 waiting in results", r)
	}
	res := w.reserve("results", 2)
	w.ack(glassq.Ack{Token: res[0].Token()})
	w.runBooks("r", glassq.Books{Put: 3, OK: 1, Failed: 1})
	w.books("results", glassq.Books{Put: 2, OK: 1})
	if n := w.run("r").Waiting; n != 1 {
		w.Errorf("waiting results with one of two acked and one leased = %d; want 1", n)
	}
	w.nack(glassq.Nack{Token: res[1].Token(), Dead: true})
	w.runBooks("r", glassq.Books{Put: 3, OK: 1, Failed: 1})
	w.books("results", glassq.Books{Put: 2, OK: 1, Dead: glassq.DeadCounts{Nacked: 1}})
}

func positionSets(w *world) {
	w.put(dense("q", "r", 10)[:4]...)
	w.put(dense("q", "r", 10)[6:]...)
	w.ids("r", glassq.IDsPut, glassq.Interval{First: 0, Last: 3}, glassq.Interval{First: 6, Last: 9})
	for _, l := range w.reserve("q", 8) {
		switch l.Position {
		case 0, 1:
			w.ack(withResult(&l, glassq.OK, "x"))
		case 3, 6:
			w.ack(withResult(&l, glassq.Failed, "x"))
		case 7:
			w.ack(glassq.Ack{Token: l.Token()}) // no result
		case 9:
			w.nack(glassq.Nack{Token: l.Token(), Dead: true})
		}
	}
	w.ids("r", glassq.IDsDone, glassq.Interval{First: 0, Last: 1}, glassq.Interval{First: 3, Last: 3},
		glassq.Interval{First: 6, Last: 6})
	w.ids("r", glassq.IDsFailed, glassq.Interval{First: 3, Last: 3}, glassq.Interval{First: 6, Last: 6})
	w.ids("r", glassq.IDsDead, glassq.Interval{First: 9, Last: 9})
	got, err := w.store().RunIDs(w.Context(), "r", glassq.IDsPut, 2, 1)
	if want := []glassq.Interval{{First: 2, Last: 3}}; err != nil || !slices.Equal(got, want) {
		w.Errorf("RunIDs from 2, at most 1 = %v, %v; want %v", got, err, want)
	}
	_, err = w.store().RunIDs(w.Context(), "no-such", glassq.IDsPut, 0, 10)
	w.code("RunIDs of an unknown run", err, glassq.CodeNotFound)
}

func runConflicts(w *world) {
	_, err := w.store().Run(w.Context(), "r")
	w.code("Run before it is made", err, glassq.CodeNotFound)
	first := glassq.RunChange{Source: "a", Queue: "q", Results: "res"}
	w.setRun("r", first)
	for _, c := range []glassq.RunChange{{Source: "b"}, {Queue: "p"}, {Results: "other"}} {
		_, err := w.store().SetRun(w.Context(), "r", c)
		w.code("SetRun to another value", err, glassq.CodeRunConflict)
	}
	if r := w.setRun("r", first); r.Source != "a" || r.Queue != "q" || r.Results != "res" || r.Sealed {
		w.Errorf("run after the same again = %+v; want it unchanged", r)
	}
}

func sealed(w *world) {
	w.put(dense("q", "r", 2)...)
	if r := w.setRun("r", glassq.RunChange{Sealed: true, Total: 3}); !r.Sealed || r.Total != 3 || r.Complete {
		w.Errorf("run after its seal = %+v; want it sealed with 3, not complete", r)
	}
	w.setRun("r", glassq.RunChange{Sealed: true, Total: 3})
	_, err := w.store().SetRun(w.Context(), "r", glassq.RunChange{Sealed: true, Total: 4})
	w.code("SetRun to another total", err, glassq.CodeRunConflict)
	_, err = w.store().Put(w.Context(), dense("q", "r", 4)[2:])
	w.code("Put of positions 2 and 3 of 3", err, glassq.CodeRunConflict)
	w.runBooks("r", glassq.Books{Put: 2}) // all or none
	w.put(dense("q", "r", 3)[2])
	w.runBooks("r", glassq.Books{Put: 3})
}

func completes(w *world) {
	w.put(dense("q", "r", 2)...)
	ls := w.reserve("q", 2)
	w.ack(withResult(&ls[0], glassq.OK, "x"))
	w.setRun("r", glassq.RunChange{Sealed: true, Total: 2})
	if r := w.run("r"); r.Complete || r.Pending != 1 || !r.Ended.IsZero() {
		w.Errorf("run with one leased = %+v; want 1 pending, not complete", r)
	}
	time.Sleep(time.Second)
	w.nack(glassq.Nack{Token: ls[1].Token(), Dead: true})
	r := w.run("r")
	if !r.Complete || r.Pending != 0 || !r.Ended.After(r.Created) {
		w.Errorf("run with no pending = %+v; want it complete, with its end", r)
	}
}

func cancelRun(w *world) {
	ts := dense("q", "r", 6)
	ts[5].Delay = time.Hour
	w.put(ts...)
	w.put(tasks("q", "not of the run")...)
	ls := w.reserve("q", 2)
	if n, err := w.store().CancelRun(w.Context(), "r"); n != 4 || err != nil {
		w.Fatalf("CancelRun = %d, %v; want 4", n, err)
	}
	w.runBooks("r", glassq.Books{Put: 6, Dead: glassq.DeadCounts{Cancelled: 4}})
	w.ids("r", glassq.IDsDead, glassq.Interval{First: 2, Last: 5})
	if r := w.run("r"); !r.Sealed || r.Complete || r.Pending != 2 {
		w.Errorf("cancelled run with two leases = %+v; want it sealed, 2 pending", r)
	}
	w.want("q", "not of the run")
	w.ack(withResult(&ls[0], glassq.OK, "x"), withResult(&ls[1], glassq.OK, "y"))
	if r := w.run("r"); !r.Complete {
		w.Errorf("cancelled run with no leases = %+v; want it complete", r)
	}
	_, err := w.store().CancelRun(w.Context(), "no-such")
	w.code("CancelRun of an unknown run", err, glassq.CodeNotFound)
}

func awaitPhases(w *world) {
	phases := []glassq.Phase{glassq.PhaseExists, glassq.PhaseComplete, glassq.PhaseDrained}
	over := make([]bool, len(phases))
	errs := make([]error, len(phases))
	s := w.store()
	for i, p := range phases {
		go func() { // ends with the engine at the latest
			var r glassq.Run
			if r, errs[i] = s.AwaitRun(w.Context(), "r", p, 24*time.Hour); r.Name == "r" {
				over[i] = true
			}
		}()
	}
	at := func(what string, want ...bool) {
		w.Helper()
		time.Sleep(time.Second)
		synctest.Wait()
		if !slices.Equal(over, want) || errors.Join(errs...) != nil {
			w.Fatalf("%s: exists, complete, drained are over: %v, %v; want %v", what, over, errs, want)
		}
	}
	at("before the run is made", false, false, false)
	w.put(dense("q", "r", 1)...)
	at("with its first put", true, false, false)
	w.ack(withResult(w.one("q"), glassq.OK, "x"))
	at("acked, not sealed", true, false, false)
	w.setRun("r", glassq.RunChange{Sealed: true, Total: 1})
	at("sealed", true, true, false)
	l := w.one("results")
	at("its result leased", true, true, false)
	w.ack(glassq.Ack{Token: l.Token()})
	at("its result acked", true, true, true)
}

func awaitInVain(w *world) {
	start := time.Now()
	_, err := w.store().AwaitRun(w.Context(), "r", glassq.PhaseExists, 5*time.Second)
	w.code("AwaitRun of a run that is never made", err, glassq.CodeNotFound)
	if d := time.Since(start); d < 5*time.Second || d > 5100*time.Millisecond {
		w.Errorf("AwaitRun took %v; want 5s", d)
	}
	w.setRun("r", glassq.RunChange{Source: "a"})
	r, err := w.store().AwaitRun(w.Context(), "r", glassq.PhaseComplete, 5*time.Second)
	if err != nil || r.Source != "a" || r.Complete {
		w.Errorf("AwaitRun in vain = %+v, %v; want the run as it is", r, err)
	}
	if d := time.Since(start); d < 10*time.Second || d > 10200*time.Millisecond {
		w.Errorf("two waits took %v; want 10s", d)
	}
}

func listRuns(w *world) {
	for _, name := range []string{"b", "c", "a"} {
		w.setRun(name, glassq.RunChange{Source: "s"})
		time.Sleep(time.Second)
	}
	w.sys.Restart(w.T)
	rs, err := w.store().Runs(w.Context())
	var names []string
	for _, r := range rs {
		names = append(names, r.Name)
	}
	if want := []string{"a", "c", "b"}; err != nil || !slices.Equal(names, want) {
		w.Errorf("Runs = %q, %v; want %q", names, err, want)
	}
}

func booksSurvive(w *world, end func()) {
	ts := dense("q", "r", 8)
	ts[7].TTL = time.Second
	w.put(ts...)
	ls := w.reserve("q", 5)
	w.ack(withResult(&ls[0], glassq.OK, "x"), withResult(&ls[1], glassq.Failed, "y"))
	w.nack(glassq.Nack{Token: ls[2].Token(), Dead: true})
	time.Sleep(2 * time.Second)
	want := glassq.Books{Put: 8, OK: 1, Failed: 1, Dead: glassq.DeadCounts{Nacked: 1, Expired: 1}}
	for range 3 {
		w.books("q", want)
		w.runBooks("r", want)
		w.books("results", glassq.Books{Put: 2})
		w.ids("r", glassq.IDsPut, glassq.Interval{First: 0, Last: 7})
		w.ids("r", glassq.IDsDead, glassq.Interval{First: 2, Last: 2}, glassq.Interval{First: 7, Last: 7})
		end()
	}
	if n, err := w.store().Purge(w.Context(), "q"); err != nil || n < 2 {
		w.Fatalf("Purge = %d, %v; want at least the 2 that were never leased", n, err)
	}
	end()
	q := w.queue("q")
	if q.Pending > 2 || q.Books.Put != 8 || q.Books.Dead.Purged+q.Pending != 4 || q.Books != w.run("r").Books {
		w.Errorf("books after a purge: queue %+v, run %+v; want them equal, 4 purged or pending", q.Books, w.run("r").Books)
	}
	if _, err := w.store().Run(w.Context(), "no-such"); !errors.Is(err, glassq.ErrNotFound) {
		w.Errorf("Run of an unknown name = %v; want not_found", err)
	}
}

func jobWithoutResults(w *world) {
	w.put(dense("q", "r", 3)...)
	w.setRun("r", glassq.RunChange{Sealed: true, Total: 3})
	w.ack(acksOf(w.reserve("q", 3))...)
	w.setRun("r.2", glassq.RunChange{RetryOf: "r"})
	w.put(dense("q", "r.2", 2)...)
	want := glassq.Job{Runs: []string{"r", "r.2"}, Put: 3, OK: 1, Pending: 2}
	if r := w.run("r"); !reflect.DeepEqual(r.Job, &want) {
		w.Errorf("job with two positions that are put again = %+v; want %+v", r.Job, want)
	}
}

// retriesAreOneJob: a run and its retries have books as one, with the last outcome of each task.
func retriesAreOneJob(w *world, end func()) {
	outcomes := func(run string, failed, dead int, ts []glassq.Task, pending int) {
		w.put(ts...)
		for i, l := range w.reserve("q", len(ts)-pending) {
			switch {
			case i < dead:
				_, err := w.store().Nack(w.Context(), []glassq.Nack{{Token: l.Token(), Dead: true}})
				w.ok("Nack", err)
			case i < dead+failed:
				w.ack(withResult(&l, glassq.Failed, "x"))
			default:
				w.ack(withResult(&l, glassq.OK, "x"))
			}
		}
		w.setRun(run, glassq.RunChange{Sealed: true, Total: uint64(len(ts))})
	}
	w.setRun("r", glassq.RunChange{Source: "s", Reader: "a"})
	w.setRun("r", glassq.RunChange{Reader: "b"})
	w.setRun("r", glassq.RunChange{Reader: "a"})
	all := dense("q", "r", 10)
	outcomes("r", 4, 2, all, 0) // positions 0 and 1 are dead, 2 to 5 failed
	if r := w.run("r"); r.Job != nil || !slices.Equal(r.Readers, []string{"a", "b"}) {
		w.Errorf("a run that was never retried has job %+v, readers %q", r.Job, r.Readers)
	}
	w.setRun("r.2", glassq.RunChange{RetryOf: "r"})
	outcomes("r.2", 1, 1, dense("q", "r.2", 6), 0) // 0 is dead again, 1 failed, the others are ok
	w.setRun("r.3", glassq.RunChange{RetryOf: "r.2"})
	outcomes("r.3", 1, 0, dense("q", "r.3", 2), 1) // 0 failed, 1 waits
	want := glassq.Job{Runs: []string{"r", "r.2", "r.3"}, Put: 10, OK: 8, Failed: 1, Pending: 1}
	check := func(when string) {
		w.Helper()
		for _, name := range want.Runs {
			if r := w.run(name); !reflect.DeepEqual(r.Job, &want) || name != "r" && r.RetryOf != "r" {
				w.Errorf("%s run %s is a retry of %q, and the job is %+v; want %+v", when, name, r.RetryOf, r.Job, want)
			}
		}
	}
	check("at first,")
	end()
	check("later,")
	for _, c := range []struct {
		run, of string
		code    glassq.Code
	}{{"r", "r.2", glassq.CodeRunConflict}, {"x", "nobody", glassq.CodeNotFound}, {"x", "x", glassq.CodeNotFound}} {
		_, err := w.store().SetRun(w.Context(), c.run, glassq.RunChange{RetryOf: c.of})
		w.code("SetRun of "+c.run+" as a retry of "+c.of, err, c.code)
	}
	w.setRun("other", glassq.RunChange{Source: "o"})
	_, err := w.store().SetRun(w.Context(), "r.2", glassq.RunChange{RetryOf: "other"})
	w.code("SetRun with another RetryOf", err, glassq.CodeRunConflict)
}

// runsGo: a run goes when nothing of it is left, and one of its name begins anew.
func runsGo(w *world, end func()) {
	refused := func(run, why string) {
		w.Helper()
		before := w.run(run)
		w.code("DropRun while "+why, w.store().DropRun(w.Context(), run), glassq.CodeRunConflict)
		end()
		if r := w.run(run); r.Books != before.Books {
			w.Errorf("books after a refused DropRun = %+v; want %+v", r.Books, before.Books)
		}
	}
	w.code("DropRun of an unknown run", w.store().DropRun(w.Context(), "r"), glassq.CodeNotFound)
	w.setRun("r", glassq.RunChange{Source: "a", Results: "res"})
	refused("r", "it is not sealed")
	w.put(dense("q", "r", 2)...)
	w.setRun("r", glassq.RunChange{Sealed: true, Total: 2})
	refused("r", "two tasks are ready")
	ls := w.reserve("q", 2)
	w.nack(glassq.Nack{Token: ls[0].Token(), Dead: true})
	w.code("DropRun while one is leased", w.store().DropRun(w.Context(), "r"), glassq.CodeRunConflict)
	w.ack(withResult(&ls[1], glassq.OK, "x"))
	refused("r", "its result is not taken")
	w.ack(glassq.Ack{Token: w.one("res").Token()})
	refused("r", "a dead task is kept")
	w.setRun("r.2", glassq.RunChange{RetryOf: "r", Sealed: true})
	if n, err := w.store().Purge(w.Context(), "q", glassq.Dead); n != 1 || err != nil {
		w.Fatalf("Purge of the dead = %d, %v; want 1", n, err)
	}
	refused("r", "its retry is there")
	w.ok("DropRun of the retry", w.store().DropRun(w.Context(), "r.2"))
	end()
	if r := w.run("r"); r.Job != nil {
		w.Errorf("job of a run whose retry is forgotten = %+v; want none", r.Job)
	}
	w.ok("DropRun", w.store().DropRun(w.Context(), "r"))
	end()
	w.code("DropRun again", w.store().DropRun(w.Context(), "r"), glassq.CodeNotFound)
	_, err := w.store().Run(w.Context(), "r")
	w.code("Run of one that is forgotten", err, glassq.CodeNotFound)
	w.books("q", glassq.Books{Put: 2, OK: 1, Dead: glassq.DeadCounts{Nacked: 1}})
	w.put(dense("q", "r", 1)...) // no duplicate: its positions are forgotten with it
	w.runBooks("r", glassq.Books{Put: 1})
	w.ids("r", glassq.IDsPut, glassq.Interval{})
	if r := w.run("r"); r.Source != "" || r.Sealed || r.Results != glassq.DefaultResults {
		w.Errorf("a run made anew = %+v; want nothing of the old one", r)
	}
	w.want("q", "0")
}
