package enginetest

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/glassq/glassq"
)

// Hooks: exactly one task per end of a run, put in the commit that ends it; and runs that wait for
// others.
func hookLaws() []law {
	return slices.Concat([]law{
		{"a hook's task has the books of its run", hookBooks},
		{"an ack with a follow-up into its run ends nothing", hookNotYet},
		{"a run that is redriven ends again with a hook of its own", hookAgain},
		{"a ttl, a nack, a take, a cancel and a seal end a run too", hookEnds},
		{"a hook has its place in a full queue", hookReserved},
		{"a hook joins the run that it names, and no chain of hooks leads back", hookChains},
		{"a retry has the hooks of its run where it asks for them", hookRetry},
		{"a run waits for the one that it comes after", afterWaits},
		{"what a run may come after, and when", afterRefused},
		{"a run whose time is over is nothing to come after, or to retry", afterOld},
		{"a retry ends the wait for the success of its run", afterRetry},
	}, perEnd("exactly one hook per end of a run", hookSurvives),
		perEnd("a run goes on waiting for another", afterSurvives))
}

const endHook = glassq.Hook(`{"queue":"hooks"}`)

// ends takes the hooks' tasks that are there, and checks their ids and books.
func (w *world) ends(want ...glassq.RunEnd) {
	w.Helper()
	got := w.reserve("hooks", len(want)+1)
	if len(got) != len(want) {
		w.Fatalf("%d hooks were put: %q; want %d", len(got), bodiesOf(got), len(want))
	}
	for i := range got {
		var end glassq.RunEnd
		if err := json.Unmarshal(got[i].Body, &end); err != nil {
			w.Fatalf("body of a hook %q: %v", got[i].Body, err)
		}
		if end.Created.IsZero() || end.Ended.Before(end.Created) {
			w.Errorf("a run of %v ended %v", end.Created, end.Ended)
		}
		end.Created, end.Ended = time.Time{}, time.Time{}
		if end != want[i] {
			w.Errorf("hook %d = %+v; want %+v", i, end, want[i])
		}
		if id := fmt.Sprintf("%s/end.%d", end.Run, end.End); got[i].ID != id || got[i].Type != glassq.TypeJSON {
			w.Errorf("hook %d has id %q and type %q; want %q and JSON", i, got[i].ID, got[i].Type, id)
		}
		w.ack(glassq.Ack{Token: got[i].Token()})
	}
}

func end(k, total uint64, b glassq.Books) glassq.RunEnd {
	return glassq.RunEnd{Run: "r", End: k, OK: b.OK == b.Put, Books: b, Total: total, Results: glassq.DefaultResults}
}

// endRun puts n positions of a run, seals it, and acks them.
func (w *world) endRun(run string, n int, outcome glassq.Outcome) {
	w.Helper()
	w.put(dense("q", run, n)...)
	w.setRun(run, glassq.RunChange{Sealed: true, Total: uint64(n)})
	for _, l := range w.reserve("q", n) {
		w.ack(withResult(&l, outcome, "x"))
	}
}

func hookBooks(w *world) {
	w.setRun("r", glassq.RunChange{OnEnd: `{"queue":"hooks","priority":9,"headers":{"for":"ann"}}`})
	w.put(dense("q", "r", 3)...)
	ls := w.reserve("q", 3)
	w.ack(withResult(&ls[0], glassq.OK, "x"), withResult(&ls[1], glassq.OK, "x"))
	w.setRun("r", glassq.RunChange{Sealed: true, Total: 3})
	w.none("hooks")
	if r := w.run("r"); r.Complete || r.OnEnd == "" || r.Ends != 0 {
		w.Errorf("run with a task left = %+v", r)
	}
	w.ack(withResult(&ls[2], glassq.OK, "x"))
	if r := w.run("r"); !r.Complete || r.Ends != 1 || r.Ended.IsZero() {
		w.Errorf("run with all done = %+v; want its first end", r)
	}
	got := w.reserve("hooks", 2)
	if len(got) != 1 || got[0].Priority.Level() != 9 || got[0].Headers["for"] != "ann" || got[0].Run != "" {
		w.Fatalf("hooks = %+v; want one with what it asks for", got)
	}
	w.nack(glassq.Nack{Token: got[0].Token(), Undone: true})
	w.ends(end(1, 3, glassq.Books{Put: 3, OK: 3}))
	w.setRun("r", glassq.RunChange{OnEnd: `{"queue":"hooks","priority":9,"headers":{"for":"ann"}}`}) // as it is
	_, err := w.store().SetRun(w.Context(), "r", glassq.RunChange{OnFailed: endHook})
	w.code("SetRun of a hook after the end", err, glassq.CodeRunConflict)
	w.endRun("s", 2, glassq.OK)
	w.none("hooks")
}

func hookNotYet(w *world) {
	w.setRun("r", glassq.RunChange{OnEnd: endHook})
	w.put(dense("q", "r", 1)...)
	w.setRun("r", glassq.RunChange{Sealed: true, Total: 1})
	ack := glassq.Ack{Token: w.one("q").Token(), Put: tasks("q", "more")}
	w.ack(ack)
	w.none("hooks")
	w.ack(glassq.Ack{Token: w.one("q").Token()})
	w.ends(end(1, 1, glassq.Books{Put: 2, OK: 2}))
}

func hookAgain(w *world) {
	w.setRun("r", glassq.RunChange{OnEnd: endHook, OnFailed: `{"queue":"hooks"}`})
	w.put(dense("q", "r", 2)...)
	w.setRun("r", glassq.RunChange{Sealed: true, Total: 2})
	ls := w.reserve("q", 2)
	w.ack(withResult(&ls[0], glassq.OK, "x"))
	w.nack(glassq.Nack{Token: ls[1].Token(), Dead: true})
	w.ends(end(1, 2, glassq.Books{Put: 2, OK: 1, Dead: glassq.DeadCounts{Nacked: 1}}))
	for k := uint64(2); k < 4; k++ {
		if n, err := w.store().Redrive(w.Context(), "q", 0); n != 1 || err != nil {
			w.Fatalf("Redrive = %d, %v; want 1", n, err)
		}
		if r := w.run("r"); r.Complete || r.Ends != k-1 {
			w.Errorf("run that was redriven = %+v; want it open", r)
		}
		if k == 2 {
			w.nack(glassq.Nack{Token: w.one("q").Token(), Dead: true})
			w.ends(end(2, 2, glassq.Books{Put: 2, OK: 1, Dead: glassq.DeadCounts{Nacked: 1}}))
		}
	}
	w.ack(withResult(w.one("q"), glassq.OK, "x"))
	w.ends(end(3, 2, glassq.Books{Put: 2, OK: 2}))
}

func hookEnds(w *world) {
	w.setRun("failed", glassq.RunChange{OnFailed: endHook})
	w.endRun("failed", 1, glassq.OK)
	w.none("hooks")

	last := dense("q", "r", 1)
	last[0].TTL = time.Second
	w.setRun("r", glassq.RunChange{OnFailed: endHook})
	w.put(last...)
	w.setRun("r", glassq.RunChange{Sealed: true, Total: 1})
	l, err := w.store().Reserve(w.Context(), glassq.Reserve{Queue: "hooks", Max: 1, Wait: time.Minute})
	if err != nil || len(l) != 1 {
		w.Fatalf("a reserve that waits for a hook = %v, %v; want it when the ttl is over", l, err)
	}
	if r := w.run("r"); !r.Complete || r.Books.Dead.Expired != 1 {
		w.Errorf("run whose last task expired = %+v; want it complete", r)
	}

	w.setRun("taken", glassq.RunChange{OnEnd: endHook})
	w.put(dense("p", "taken", 1)...)
	w.setRun("taken", glassq.RunChange{Sealed: true, Total: 1})
	_, err = w.store().Reserve(w.Context(), glassq.Reserve{Queue: "p", Max: 1, Take: true})
	w.ok("Reserve that takes", err)
	w.setRun("cancelled", glassq.RunChange{OnEnd: endHook})
	w.put(dense("p", "cancelled", 2)...)
	_, err = w.store().CancelRun(w.Context(), "cancelled")
	w.ok("CancelRun", err)
	w.setRun("empty", glassq.RunChange{OnEnd: endHook, Sealed: true})
	var ids []string
	for _, l := range w.reserve("hooks", 10) {
		ids = append(ids, l.ID)
	}
	if want := []string{"taken/end.1", "cancelled/end.1", "empty/end.1"}; !slices.Equal(ids, want) {
		w.Errorf("hooks = %q; want %q", ids, want)
	}
}

func hookReserved(w *world) {
	most := int64(2)
	set := func(c glassq.SettingsChange) {
		_, err := w.store().Configure(w.Context(), "hooks", c)
		w.ok("Configure", err)
	}
	set(glassq.SettingsChange{MaxTasks: &most})
	w.setRun("r", glassq.RunChange{OnEnd: endHook})
	w.put(tasks("hooks", "a")...)
	_, err := w.store().Put(w.Context(), tasks("hooks", "b"))
	w.code("Put into the place of a hook", err, glassq.CodeQueueFull)
	_, err = w.store().SetRun(w.Context(), "s", glassq.RunChange{OnEnd: endHook})
	w.code("SetRun with a hook for which there is no place", err, glassq.CodeQueueFull)
	w.endRun("r", 1, glassq.Failed)
	w.held("hooks", 0, 2, 0, 0)
	w.drain("hooks")
	w.put(tasks("hooks", "c", "d")...) // its place is free again
	w.drain("hooks")

	few := int64(0)
	set(glassq.SettingsChange{MaxTasks: &few, MaxBytes: &most})
	_, err = w.store().SetRun(w.Context(), "s", glassq.RunChange{OnEnd: endHook})
	w.code("SetRun with a hook for which there are no bytes", err, glassq.CodeQueueFull)
	set(glassq.SettingsChange{MaxBytes: &few})
	w.setRun("s", glassq.RunChange{OnEnd: endHook})
	w.ok("Drop", w.store().Drop(w.Context(), "hooks"))
	w.endRun("s", 1, glassq.OK)
	w.held("hooks", 0, 1, 0, 0)
}

func hookChains(w *world) {
	w.setRun("r", glassq.RunChange{OnEnd: `{"queue":"hooks","run":"s"}`})
	w.setRun("s", glassq.RunChange{OnEnd: `{"queue":"hooks","run":"t"}`})
	_, err := w.store().SetRun(w.Context(), "t", glassq.RunChange{OnFailed: `{"queue":"hooks","run":"r"}`})
	w.code("SetRun of a hook that leads back", err, glassq.CodeRunConflict)
	w.setRun("s", glassq.RunChange{Sealed: true})
	w.ack(acksOf(w.reserve("hooks", 9))...) // s has ended once
	w.endRun("r", 1, glassq.OK)
	w.runBooks("s", glassq.Books{Put: 1})
	l := w.one("hooks")
	if l.Run != "s" || l.ID != "r/end.1" {
		w.Errorf("hook = run %q, id %q; want s, r/end.1", l.Run, l.ID)
	}
	w.ack(glassq.Ack{Token: l.Token()})
	if r := w.run("s"); !r.Complete || r.Ends != 2 {
		w.Errorf("run of the hook = %+v; want its second end", r)
	}
}

func hookRetry(w *world) {
	w.setRun("r", glassq.RunChange{OnEnd: endHook})
	w.endRun("r", 1, glassq.Failed)
	w.ends(end(1, 1, glassq.Books{Put: 1, Failed: 1}))
	w.setRun("without", glassq.RunChange{RetryOf: "r"})
	w.endRun("without", 1, glassq.OK)
	w.none("hooks")
	if r := w.setRun("with", glassq.RunChange{RetryOf: "r", Hooks: true}); r.OnEnd != endHook {
		w.Errorf("retry with hooks = %+v", r)
	}
	w.endRun("with", 1, glassq.OK)
	w.ends(glassq.RunEnd{Run: "with", End: 1, OK: true, Books: glassq.Books{Put: 1, OK: 1}, Total: 1,
		Results: glassq.DefaultResults, RetryOf: "r"})
}

func hookSurvives(w *world, ends func()) {
	w.setRun("r", glassq.RunChange{OnEnd: endHook})
	ends()
	ts := dense("q", "r", 2)
	ts[1].TTL = 90 * time.Second
	w.put(ts...)
	w.setRun("r", glassq.RunChange{Sealed: true, Total: 2})
	ends()
	w.ack(withResult(w.one("q"), glassq.Failed, "x"))
	ends()
	w.none("hooks")
	time.Sleep(2 * time.Minute)
	ends() // where the ttl has ended the run, or just before that was written
	r, err := w.store().AwaitRun(w.Context(), "r", glassq.PhaseComplete, time.Minute)
	if err != nil || !r.Complete || r.Ends != 1 {
		w.Fatalf("AwaitRun = %+v, %v; want it complete", r, err)
	}
	ends()
	w.ends(end(1, 2, glassq.Books{Put: 2, Failed: 1, Dead: glassq.DeadCounts{Expired: 1}}))
	ends()
	w.none("hooks")
}

func afterWaits(w *world) {
	w.setRun("first", glassq.RunChange{Source: "s"})
	w.setRun("any", glassq.RunChange{After: "first", AfterAny: true})
	w.setRun("r", glassq.RunChange{After: "first", OnEnd: endHook})
	late := dense("p", "r", 3)
	late[2].Delay = time.Hour
	w.put(late...)
	w.setRun("r", glassq.RunChange{Sealed: true, Total: 3})
	w.put(dense("o", "any", 1)...)
	w.setRun("empty", glassq.RunChange{After: "first", OnEnd: endHook, Sealed: true})
	w.held("p", 3, 0, 0, 0)
	w.none("p")
	w.none("hooks")
	if r := w.run("r"); !r.Held || r.After != "first" || r.Complete {
		w.Errorf("run that waits = %+v", r)
	}
	w.put(dense("q", "first", 2)...)
	w.setRun("first", glassq.RunChange{Sealed: true, Total: 2})
	ls := w.reserve("q", 2)
	w.ack(withResult(&ls[0], glassq.OK, "x"))
	w.none("p")
	w.nack(glassq.Nack{Token: ls[1].Token(), Dead: true})
	w.held("p", 3, 0, 0, 0) // not a success
	w.held("o", 0, 1, 0, 0)
	if n, err := w.store().Redrive(w.Context(), "q", 0); n != 1 || err != nil {
		w.Fatalf("Redrive = %d, %v; want 1", n, err)
	}
	w.ack(withResult(w.one("q"), glassq.OK, "x"))
	w.want("p", "0", "1")
	w.held("p", 1, 0, 2, 0)
	if l := w.one("hooks"); l.ID != "empty/end.1" {
		w.Errorf("hook of a run without tasks = %q", l.ID)
	}
	if r := w.run("r"); r.Held || r.Complete {
		w.Errorf("run that waits no more = %+v", r)
	}

	w.setRun("next", glassq.RunChange{After: "r"})
	w.put(dense("n", "next", 2)...)
	if n, err := w.store().CancelRun(w.Context(), "next"); n != 2 || err != nil {
		w.Fatalf("CancelRun of a run that waits = %d, %v; want 2", n, err)
	}
	if r := w.run("next"); !r.Complete || r.Held {
		w.Errorf("run that was cancelled while it waited = %+v; want it complete", r)
	}
}

func afterRefused(w *world) {
	refuse := func(run string, c glassq.RunChange, code glassq.Code) {
		w.Helper()
		_, err := w.store().SetRun(w.Context(), run, c)
		w.code("SetRun of "+run+" after "+c.After, err, code)
	}
	refuse("b", glassq.RunChange{After: "a"}, glassq.CodeNotFound)
	w.setRun("a", glassq.RunChange{Source: "s"})
	w.setRun("b", glassq.RunChange{After: "a"})
	w.setRun("b", glassq.RunChange{After: "a"})
	w.setRun("c", glassq.RunChange{After: "b"})
	refuse("a", glassq.RunChange{After: "a"}, glassq.CodeRunConflict)
	refuse("a", glassq.RunChange{After: "c"}, glassq.CodeRunConflict)
	refuse("c", glassq.RunChange{After: "a"}, glassq.CodeRunConflict)
	w.put(dense("p", "d", 1)...)
	refuse("d", glassq.RunChange{After: "a"}, glassq.CodeRunConflict)
	w.endRun("done", 1, glassq.OK)
	if r := w.setRun("e", glassq.RunChange{After: "done"}); r.Held {
		w.Errorf("run after one that has ended = %+v; want it to begin", r)
	}
}

func afterOld(w *world) {
	w.endRun("r", 1, glassq.Failed)
	for _, l := range w.drain("results") {
		w.ack(glassq.Ack{Token: l.Token()})
	}
	time.Sleep(glassq.RunKeptFor + time.Hour)
	for _, c := range []glassq.RunChange{{After: "r"}, {RetryOf: "r"}} {
		_, err := w.store().SetRun(w.Context(), "next", c)
		w.code("SetRun for a run that goes with the next new one", err, glassq.CodeNotFound)
	}
	if r := w.run("r"); r.Books.Failed != 1 {
		w.Errorf("run = %+v; want it as it was", r)
	}
}

func afterRetry(w *world) {
	w.endRun("r", 2, glassq.Failed)
	w.setRun("next", glassq.RunChange{After: "r"})
	w.put(dense("p", "next", 1)...)
	w.none("p")
	w.setRun("r.2", glassq.RunChange{RetryOf: "r"})
	w.endRun("r.2", 2, glassq.OK)
	w.want("p", "0")
}

func afterSurvives(w *world, ends func()) {
	w.setRun("first", glassq.RunChange{Source: "s"})
	w.setRun("r", glassq.RunChange{After: "first"})
	w.put(dense("p", "r", 700)...)
	ends()
	w.held("p", 700, 0, 0, 0)
	w.endRun("first", 1, glassq.OK)
	ends()
	w.held("p", 0, 700, 0, 0)
	ends()
	if got := w.reserve("p", 1000); len(got) != 700 || string(got[699].Body) != "699" {
		w.Fatalf("%d tasks; want all, in their order", len(got))
	}
}
