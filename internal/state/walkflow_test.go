package state

import (
	"cmp"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/glassq/glassq"
)

// decided adds what was decided, if it was.
func (w *walker) decided(recs [][]byte, err error) {
	for _, rec := range recs {
		if err == nil && rec != nil {
			w.add(rec)
		}
	}
}

// flow does something with runs, hooks, schedules, some of the dead, or lost time.
func (w *walker) flow(queue string) {
	run, other := w.run(), w.run()
	switch w.rnd.IntN(13) {
	case 0, 1: // hooks put results of no run, or tasks of another run
		var hooks [2]*Hooked
		task := glassq.Task{Queue: queue, Key: fmt.Sprint("key", w.rnd.IntN(6)), Cost: uint32(w.rnd.IntN(3))}
		if w.rnd.IntN(3) == 0 {
			task.Run = other
		}
		hooks[w.rnd.IntN(2)] = &Hooked{Text: glassq.Hook(fmt.Sprintf(`{"queue":%q,"run":%q,"key":%q}`, queue, task.Run, task.Key)), Task: task}
		w.decided(w.s.DecideRun(run, glassq.RunChange{}, hooks))
	case 2, 3:
		c := glassq.RunChange{Sealed: w.rnd.IntN(2) == 0, Total: 5000, Queue: []string{"", queue}[w.rnd.IntN(2)]}
		if w.rnd.IntN(3) == 0 {
			c.RetryOf = other
		}
		w.decided(w.s.DecideRun(run, c, [2]*Hooked{}))
	case 4:
		rec, err := w.s.DecideRunDrop(run)
		w.decided([][]byte{rec}, err)
	case 5:
		pick, err := w.s.PickDead(queue, glassq.DeadFilter{Run: run, Max: 1 + w.rnd.IntN(9)}, w.rnd.IntN(3) == 0)
		for last := err != nil; !last; {
			var rec []byte
			if rec, _, last, err = pick.Next(w.s); err != nil {
				w.t.Fatal(err)
			}
			w.decided([][]byte{rec}, nil)
		}
	case 6:
		w.schedule(fmt.Sprint("s", w.rnd.IntN(2)), queue)
	case 7:
		ms := w.rnd.Int64N(2000)
		w.add(AppendGap(nil, ms))
		w.now += ms
	case 8, 9, 10:
		w.follow(queue, other)
	case 11:
		key := fmt.Sprint("key", w.rnd.IntN(6))
		rec, err := w.s.DecideRelease(nil, queue, key)
		w.decided([][]byte{rec}, err)
		if q := w.s.Touch(queue); err != nil && q.books.Put > 0 {
			w.add(AppendHold(nil, queue, key, w.rnd.Int64N(90_000), "why"))
		}
	case 12:
		w.add(AppendClock(nil, w.rnd.Int64N(5000)-2000))
	}
}

// run is a run, of which there are more and more.
func (w *walker) run() string { return fmt.Sprintf("r%d", w.rnd.IntN(3+len(w.frames)/60)) }

// put puts t, if there is room.
func (w *walker) put(t *glassq.Task) {
	if _, err := w.s.RoomFor([]glassq.Task{*t}); err == nil && !w.s.IsDuplicate(t) {
		w.add(AppendPut(nil, t))
	}
}

// result puts a result of a task.
func (w *walker) result(d *Leased) {
	w.add(AppendPut(nil, &glassq.Task{Queue: d.Result, Run: d.Run, Position: d.N, Dense: d.Dense, OfAttempt: d.Attempt,
		Body: []byte("{}")}))
}

// settings are those of a queue; most limit little.
func (w *walker) settings() glassq.Settings {
	set := glassq.Settings{Attempts: w.rnd.IntN(5), Fair: w.rnd.IntN(2) == 0, Keys: w.rules(),
		Rate: float64(w.rnd.IntN(3)), Catchup: float64(w.rnd.IntN(2)), Paused: w.rnd.IntN(6) == 0}
	if w.rnd.IntN(2) == 0 {
		set.Halt, set.HaltResume = "failed>30% of 7", float64(w.rnd.IntN(3))
		if w.rnd.IntN(2) == 0 {
			set.Halt, set.HaltPer = "failed>30% of 2", glassq.HaltPerKey
		}
	}
	switch w.rnd.IntN(6) {
	case 0:
		set.MaxTasks = 20 + w.rnd.Int64N(900)
	case 1:
		set.MaxBytes = 1000 + w.rnd.Int64N(90_000)
	case 2:
		set.Stages, set.StagesAt = "0..3/5s,1/1m,4/1s", w.s.Now()
	}
	if w.rnd.IntN(3) == 0 {
		set.Unique, set.MaxUnique = glassq.UniquePending, w.rnd.Int64N(60)
	}
	return set
}

// follow has a run without tasks wait for another one, and puts tasks of it.
func (w *walker) follow(queue, other string) {
	run, last := w.run(), fmt.Sprint("q", w.rnd.IntN(3))
	for try := 0; try < 5 && w.s.Run(run) != nil; try++ {
		run = w.run()
	}
	c := glassq.RunChange{After: other, AfterAny: w.rnd.IntN(2) == 0, Queue: []string{"", "", queue}[w.rnd.IntN(3)]}
	if w.rnd.IntN(4) == 0 {
		c.RetryOf, c.Results = w.run(), "q1"
	}
	recs, err := w.s.DecideRun(run, c, [2]*Hooked{})
	if w.decided(recs, err); err != nil {
		return
	}
	for n := range uint32(w.rnd.IntN(4)) {
		t := glassq.Task{Queue: last, Run: run, Dense: true, Position: 900 * n, Key: fmt.Sprint("key", w.rnd.IntN(3)),
			Cost:  uint32(w.rnd.IntN(3)),
			Delay: time.Duration(w.rnd.IntN(2)) * time.Second, TTL: time.Duration(w.rnd.IntN(3)*20) * time.Second}
		if w.rnd.IntN(2) == 0 {
			t.Range, t.Body = &glassq.Range{Count: 1 + w.rnd.Uint64N(9)}, []byte("{0}")
		}
		w.put(&t)
		last = queue
	}
	if w.rnd.IntN(2) == 0 { // what it waits for will come to an end
		w.add(AppendRun(nil, other, glassq.RunChange{Sealed: true, Total: 5000}))
	}
}

// schedule sets a schedule, has it put something, or drops it.
func (w *walker) schedule(name, queue string) {
	x, wall := w.s.Schedule(name), w.now
	switch {
	case x == nil || w.rnd.IntN(4) == 0:
		task := glassq.Task{Queue: queue, Key: "key1", Body: []byte("due")}
		rec, err := w.s.DecideSchedule(name, glassq.ScheduleChange{Cron: "* * * * *"}, &task, wall)
		w.decided([][]byte{rec}, err)
	case w.rnd.IntN(4) == 0:
		rec, err := w.s.DecideSchedule(name, glassq.ScheduleChange{Paused: new(!x.Set.Paused)}, &glassq.Task{}, wall)
		w.decided([][]byte{rec}, err)
	case w.rnd.IntN(5) == 0:
		w.add(AppendDropSchedule(nil, name))
	case wall > x.DoneTo():
		w.add(AppendDue(nil, name, wall, 1, w.rnd.Uint64N(3)))
		task := x.Task(time.UnixMilli(wall))
		if !w.s.IsDuplicate(&task) {
			w.add(AppendPut(nil, &task))
		}
	}
}

// wakers adds to h what calls those who wait.
func (w *walker) wakers(h Hooks) Hooks {
	w.called = map[any]bool{}
	h.Ready = func(q *Queue) { w.called[forTask{q}] = true }
	h.Lowered = func(q *Queue) { w.called[forRoom{q}] = true }
	h.RunChanged = func() { w.called["run"] = true }
	return h
}

type (
	forTask struct{ *Queue }
	forRoom struct{ *Queue }
)

// wakes checks that fn calls those who wait for what it brings about: a task that may go, room in a
// queue, a phase of a run.
func (w *walker) wakes(what string, fn func()) {
	type phases struct{ complete, drained bool }
	type queue struct {
		goes, room         bool
		holds, open, bytes int64
		limits             [2]int64
	}
	queues, runs := map[*Queue]queue{}, map[*Run]phases{}
	see := func(q *Queue) queue {
		_, ok := w.s.Head(q, nil)
		return queue{ok && w.s.MayHandOut(q) > 0 && !q.settings.Paused, w.s.roomIn(q, 1, 50) == nil,
			q.holds(), q.holds() - q.count[glassq.Dead], q.bytes, [2]int64{q.settings.MaxTasks, q.settings.MaxBytes}}
	}
	in := func(r *Run) phases { return phases{r.Reached(glassq.PhaseComplete), r.Reached(glassq.PhaseDrained)} }
	for _, q := range w.s.byName {
		queues[q] = see(q)
	}
	for _, r := range w.s.runs {
		runs[r] = in(r)
	}
	clear(w.called)
	fn()
	for _, q := range w.s.byName {
		was, ok := queues[q]
		is := see(q)
		was.room = was.room || !ok || is.limits != was.limits // who changes those calls
		if is.goes && !was.goes && !w.called[forTask{q}] {
			w.t.Fatalf("queue %s has a task that may go since %s, and nobody who waits is called", q.Name, what)
		}
		less := is.room && !was.room || is.holds < was.holds || is.open < was.open || is.bytes < was.bytes
		if less && !w.called[forRoom{q}] {
			w.t.Fatalf("queue %s holds less since %s, and nobody who waits is called: %+v, %+v", q.Name, what, was, is)
		}
	}
	for _, r := range w.s.runs {
		if was, is := runs[r], in(r); (is.complete && !was.complete || is.drained && !was.drained) && !w.called["run"] {
			w.t.Fatalf("run %s is in a phase since %s, and nobody who waits is called: %+v", r.name, what, is)
		}
	}
}

// bodies checks that an image of the state has the bodies that the state has.
func (w *walker) bodies(im *Image) {
	var have, want []Lying
	_ = im.Bodies(func(some []Lying) error { have = append(have, some...); return nil })
	for cursor, done := uint64(0), false; !done; {
		want, cursor, done = w.s.Survivors(want, 0, maxFrame, cursor)
	}
	order := func(a, b Lying) int {
		return cmp.Or(cmp.Compare(a.Task, b.Task), cmp.Compare(a.Frame, b.Frame), cmp.Compare(a.Offset, b.Offset))
	}
	slices.SortFunc(have, order)
	if slices.SortFunc(want, order); !slices.Equal(have, want) {
		w.t.Fatalf("an image has the bodies %v, the state %v", have, want)
	}
}

// ends writes the ends of runs that have come to them, and their hooks.
func (w *walker) ends() {
	for {
		end, put, ok := w.s.DecideEnd()
		if !ok {
			return
		}
		w.add(end)
		if put != nil {
			w.decided([][]byte{AppendPut(nil, put)}, nil)
		}
	}
}

// paced has a queue give up what of its schedule nobody asked for, as a reserve does. It tells whether a
// task may go.
func (w *walker) paced(q *Queue) bool {
	n, up, _ := q.Pace.Ask(w.s.nanos(), 1, q.count[glassq.Ready])
	if up.Any() {
		w.add(AppendGiveUp(nil, q.Name, w.s.NextRun(q), up))
	}
	return n > 0
}

// checkFlow compares what follows from runs and hooks with what is kept of it.
func (w *walker) checkFlow(s *State) {
	w.t.Helper()
	places := map[string]hookPlace{}
	held := 0
	for _, r := range s.runs {
		in := r.heldIn != "" && slices.Contains(s.heldRuns[r.heldIn], r)
		if known := r.queue != "" || r.books.Pending() > 0; in != (r.heldIn != "") || in && !r.waits || r.waits && known && !in {
			w.t.Fatalf("run %s of queue %q with %d pending waits: %t, is among those that do in %q: %t", r.name, r.queue,
				r.books.Pending(), r.waits, r.heldIn, in)
		} else if in {
			held++
		}
		for i := range r.hooks {
			if h := &r.hooks[i]; h.put != nil && r.reserves {
				name, p := h.queue()
				places[name] = hookPlace{places[name].tasks + p.tasks, places[name].bytes + p.bytes}
			}
		}
		if r.hooked() && r.ended == 0 && !r.reserves {
			w.t.Fatalf("run %s has hooks, has not ended, and reserves no place", r.name)
		}
		if r.ended != 0 && (r.reserves || !r.over()) {
			w.t.Fatalf("run %s has ended; it reserves: %t, is over: %t", r.name, r.reserves, r.over())
		}
		if r.over() && r.ended == 0 && !r.owed {
			w.t.Fatalf("run %s is over, has not ended, and is not owed its end", r.name)
		}
		if first := s.runs[r.after]; r.waits && first != nil {
			n := 0
			for _, f := range first.followers {
				if f == r {
					n++
				}
			}
			if n != 1 || s.lets(first, r.afterAny) {
				w.t.Fatalf("run %s waits for %s, which has it %d times among its followers, and lets it begin: %t", r.name, first.name, n,
					s.lets(first, r.afterAny))
			}
		}
	}
	for _, list := range s.heldRuns {
		if held -= len(list); len(list) == 0 {
			w.t.Fatal("a queue without runs that wait is kept")
		}
	}
	if held != 0 {
		w.t.Fatalf("%d more runs are among those that wait than there are", -held)
	}
	if fmt.Sprint(places) != fmt.Sprint(s.places) {
		w.t.Fatalf("hooks have places %v, want %v", s.places, places)
	}
}

// TestForgottenCheckpointMakesRoom: whoever waits for room in a queue is called when what was said of a task
// takes less.
func TestForgottenCheckpointMakesRoom(t *testing.T) {
	said := func(seq uint64, size int) []byte {
		return AppendProgress(nil, &glassq.Extend{Token: glassq.Token{Number: 1}, Seq: seq,
			Progress: &glassq.Progress{Done: -1, Checkpoint: make([]byte, size)}}, 1000)
	}
	lowered := 0
	s := New(Hooks{Lowered: func(*Queue) { lowered++ }})
	for i, tt := range []struct {
		rec  []byte
		want int
	}{{AppendPut(nil, &glassq.Task{Queue: "q"}), 0}, {AppendLease(nil, 1, 1, 1000), 0}, {said(1, 100), 0}, {said(2, 100), 0},
		{said(3, 10), 1}, {AppendForget(nil, 1), 2}} {
		if _, err := s.Apply(tt.rec, 1, 0); err != nil || lowered != tt.want {
			t.Errorf("record %d calls for room, %d times since the first, %v; want %d", i, lowered, err, tt.want)
		}
	}
}

// TestReplayBeginsWhatBegan: a run whose last ack put one more task has not come to its end, also where a
// replay does not ask for ends in between.
func TestReplayBeginsWhatBegan(t *testing.T) {
	task := func(n uint32) []byte {
		return AppendPut(nil, &glassq.Task{Queue: "q", Run: "r", Dense: true, Position: n})
	}
	log := [][]byte{task(0), AppendRun(nil, "r", glassq.RunChange{Sealed: true}),
		AppendRun(nil, "follower", glassq.RunChange{After: "r"}), AppendLease(nil, 1, 1, 1000),
		append(AppendAck(nil, 1, glassq.OK, false), task(1)...),
		AppendCancel(nil, "follower"), AppendLease(nil, 2, 2, 1000), AppendAck(nil, 2, glassq.OK, false),
		AppendRun(nil, "next", glassq.RunChange{After: "r"})}
	for _, replay := range []bool{false, true} {
		s := New(Hooks{})
		s.Advance(1000)
		for _, frame := range log {
			if _, err := s.ApplyAll(frame, 1); err != nil {
				t.Fatal(err)
			}
			if replay {
				continue
			}
			if _, _, ok := s.DecideEnd(); ok {
				t.Fatal("run r comes to an end that is a record")
			}
		}
		if info := s.RunInfo(s.Run("next")); info.Held {
			t.Errorf("in a replay, %t: run next waits for one that has ended: %+v", replay, s.RunInfo(s.Run("r")))
		}
	}
}
