package state

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/glassq/glassq"
)

// What states tell, by the methods that tell it: two that applied the same records tell the same,
// whether they lived, were replayed or restored. untold says why a method is not among these.
var (
	toldOfState = map[string]func(s *State) any{
		"Now":         func(s *State) any { return s.Now() },
		"Ahead":       func(s *State) any { return s.Ahead() },
		"NextTask":    func(s *State) any { return s.NextTask() },
		"Limit":       func(s *State) any { return s.Limit() },
		"NextLease":   func(s *State) any { return both(s.NextLease()) },
		"Tasks":       func(s *State) any { return s.Tasks() },
		"Bodies":      func(s *State) any { return s.Bodies() },
		"Checkpoints": func(s *State) any { return s.Checkpoints() },
		"QueueCount":  func(s *State) any { return s.QueueCount() },
		"RunCount":    func(s *State) any { return s.RunCount() },
		"PastRuns":    func(s *State) any { return s.PastRuns() },
		"Figures":     func(s *State) any { var f glassq.Stats; s.Figures(&f); return f },
		"DueAt":       func(s *State) any { return []any{s.DueAt(glassq.Delayed), s.DueAt(glassq.Leased)} },
		"DecideEnd":   func(s *State) any { end, put, ok := s.DecideEnd(); return []any{end, put, ok} },
		"Survivors": func(s *State) any {
			var all []Lying
			for cursor, done := uint64(0), false; !done; {
				all, cursor, done = s.Survivors(all, 0, maxFrame, cursor)
			}
			return all
		},
		"Queues": func(s *State) any {
			var names []string
			for _, q := range s.Queues() {
				names = append(names, q.Name, s.Queue(q.Name).Name)
			}
			return names
		},
		"QueuesBehind": func(s *State) any {
			if some := s.QueuesBehind("q0", 1); len(some) > 0 {
				return some[0].Name
			}
			return nil
		},
		"Runs": func(s *State) any {
			var names []string
			for _, r := range s.Runs() {
				names = append(names, r.name)
			}
			return names
		},
	}
	toldOfQueue = map[string]func(s *State, q *Queue) any{
		"Info":         func(_ *State, q *Queue) any { return q.Info() },
		"Held":         func(_ *State, q *Queue) any { return q.Held() },
		"Idle":         func(_ *State, q *Queue) any { return q.Idle() },
		"Has":          func(_ *State, q *Queue) any { return q.Has(glassq.HasReady) },
		"AddTo":        func(_ *State, q *Queue) any { var t glassq.QueueTotals; q.AddTo(&t); return t },
		"MayHandOut":   func(s *State, q *Queue) any { return s.MayHandOut(q) },
		"HeldRuns":     func(s *State, q *Queue) any { return both(s.HeldRuns(q)) },
		"Eldest":       func(s *State, q *Queue) any { return both(s.Eldest(q, nil)) },
		"DecideResume": func(s *State, q *Queue) any { return s.DecideResume(q.Name) },
		"DecideDrop":   func(s *State, q *Queue) any { return either(s.DecideDrop(q.Name)) },
		"Keys":         func(s *State, q *Queue) any { return append(s.Keys(q, "", 99), s.Keys(q, "key1", 2)...) },
		"Rank": func(s *State, q *Queue) any {
			return []any{both(s.Rank(q, glassq.SortOldest)), both(s.Rank(q, glassq.SortUrgent))}
		},
		"NextDelayed": func(s *State, q *Queue) any {
			if s.delays.n > delaysSeen { // what is stale counts there
				return nil
			}
			return both(s.NextDelayed(q))
		},
		"Head": func(s *State, q *Queue) any {
			if n, ok := s.Head(q, nil); !ok || q.ring == nil {
				return []any{n, ok, s.NextRun(q)}
			}
			return "of some key" // the order within a ring is not part of the state
		},
		"Show": func(s *State, q *Queue) any {
			var all []any
			for _, in := range []glassq.State{glassq.Delayed, glassq.Ready, glassq.Leased, glassq.Dead} {
				for _, cursor := range []uint64{0, s.NextTask() / 2} {
					found, _ := s.Show(q, in, cursor, 300)
					all = append(all, found, s.Peek(q, in, cursor, 7))
				}
			}
			return all
		},
		"PickDead": func(s *State, q *Queue) any {
			var all []any
			for i := range walkIDs / 10 {
				f := glassq.DeadFilter{Tasks: []string{"r0/7", "r1/9", "~5", fmt.Sprint("id", i)}}
				p, err := s.PickDead(q.Name, f, false)
				if err != nil {
					continue
				}
				rec, _, last, err := p.Next(s)
				all = append(all, i, rec, last, err)
			}
			return all
		},
		"Find": func(s *State, q *Queue) any {
			var all []any
			for i := range walkIDs / 10 {
				_, _, where, err := s.Find(&glassq.Find{Queue: q.Name, ID: fmt.Sprint("id", i)})
				n, _, at, _ := s.Find(&glassq.Find{Queue: q.Name, ID: fmt.Sprint("~", i*20)})
				all = append(all, where, err, n, at)
			}
			return all
		},
		"IsDuplicate": func(s *State, q *Queue) any {
			var known []int
			for i := range walkIDs {
				if s.IsDuplicate(&glassq.Task{Queue: q.Name, ID: fmt.Sprint("id", i)}) {
					known = append(known, i)
				}
			}
			return known
		},
		"RoomFor": func(s *State, q *Queue) any {
			var all []any
			for _, t := range []glassq.Task{{ID: "new", Body: make([]byte, 500)}, {ID: "id1"},
				{Run: "r0", Dense: true, Position: 4000}, {Run: "r1", Dense: true, Range: &glassq.Range{Count: 9000}}} {
				t.Queue = q.Name
				full, err := s.RoomFor([]glassq.Task{t, {Queue: q.Name}})
				all = append(all, full != nil, fmt.Sprint(err))
			}
			return all
		},
		"DecideRelease": func(s *State, q *Queue) any { return either(s.DecideRelease(nil, q.Name, "key1")) },
		"Pace": func(s *State, q *Queue) any {
			n, up, wait := q.Pace.Ask(s.nanos(), 5, q.Count(glassq.Ready))
			return []any{q.Pace.image(), q.Pace.Now(s.nanos()), q.Pace.Late(s.nanos()), q.Pace.Limited(), n, up.Count, wait}
		},
	}
	toldOfRun = map[string]func(s *State, r *Run) any{
		"RunInfo":       func(s *State, r *Run) any { return s.RunInfo(r) },
		"Hooks":         func(s *State, r *Run) any { return both(s.Hooks(r.name)) },
		"ResultsQueue":  func(_ *State, r *Run) any { return r.ResultsQueue() },
		"DecideRunDrop": func(s *State, r *Run) any { return either(s.DecideRunDrop(r.name)) },
		"Reached": func(_ *State, r *Run) any {
			return []bool{r.Reached(glassq.PhaseExists), r.Reached(glassq.PhaseComplete), r.Reached("")}
		},
		"IDs": func(_ *State, r *Run) any {
			var all []any
			for _, set := range []glassq.IDSet{glassq.IDsPut, glassq.IDsDone, glassq.IDsFailed, glassq.IDsDead} {
				all = append(all, r.IDs(set, 0, 1<<20), r.IDs(set, 900, 3))
			}
			return all
		},
		"DecideRun": func(s *State, r *Run) any {
			var all []any
			for _, c := range []glassq.RunChange{{After: "r0"}, {After: "r2", AfterAny: true}, {RetryOf: "r1"}, {Sealed: true}} {
				recs, err := s.DecideRun(r.name, c, [2]*Hooked{{Text: "x", Task: glassq.Task{Queue: "q0", Run: "r1"}}})
				all = append(all, recs, fmt.Sprint(err))
			}
			return all
		},
		"NewOf": func(s *State, r *Run) any {
			return s.NewOf(&glassq.Task{Run: r.name, Position: 100, Range: &glassq.Range{Count: 3000}})
		},
		"Find": func(s *State, r *Run) any {
			where := ""
			for n := range uint32(60) {
				_, _, at, _ := s.Find(&glassq.Find{Run: r.name, Dense: true, Position: 83 * n})
				where += at + " "
			}
			return where
		},
	}
	toldOfTask = map[string]func(s *State, n uint64) any{
		"StateOf": func(s *State, n uint64) any { return s.StateOf(n) },
		"Reason":  func(s *State, n uint64) any { return s.Reason(n) },
		"HasBody": func(s *State, n uint64) any { return s.HasBody(n) },
		"Place": func(s *State, n uint64) any {
			p, ok := s.Place(n)
			frame, offset, _ := p.Checkpoint()
			return []any{p, ok, frame, offset, p.Said()}
		},
	}
	toldOfLease = map[string]func(s *State, number uint64) any{
		"Deadline": func(s *State, number uint64) any { return both(s.Deadline(number)) },
		"Find": func(s *State, number uint64) any {
			n, due, where, err := s.Find(&glassq.Find{Lease: number})
			return []any{n, due, where, err}
		},
		"Lease": func(s *State, number uint64) any {
			all := []any{s.Lease(glassq.Token{Number: number})}
			for _, q := range s.Queues() {
				all = append(all, s.Lease(glassq.Token{Number: number, Queue: q.Name}))
			}
			return all
		},
		"QueueOfLease": func(s *State, number uint64) any {
			if q := s.QueueOfLease(number); q != nil {
				return q.Name
			}
			return nil
		},
		"Leased": func(s *State, number uint64) any {
			if _, ok := s.Deadline(number); !ok {
				return nil
			}
			d := s.Leased(number)
			x := glassq.Extend{Token: glassq.Token{Number: number}, Seq: 1,
				Progress: &glassq.Progress{Note: strings.Repeat("n", 900)}}
			_, full := s.RoomForAck(&glassq.Ack{Result: &glassq.Task{Body: make([]byte, 900)}}, &d)
			// Headers may be true of a task that has none: a snapshot does not say it.
			return []any{d.Task, d.Queue.Name, d.Place.Frame, d.Attempt, d.Run, d.N, d.Dense, d.Result, d.IsResult, d.Length,
				fmt.Sprint(full), fmt.Sprint(s.RoomForPartials(&x)),
				either(s.DecideExtend(nil, &x)), either(s.DecideNack(nil, &glassq.Nack{Token: x.Token})),
				either(s.DecideHold(nil, &glassq.Nack{Token: x.Token, Hold: time.Second}))}
		},
	}
	toldOfTimed = map[string]func(x *Timed) any{
		"Info":   func(x *Timed) any { return x.Info() },
		"DoneTo": func(x *Timed) any { return x.DoneTo() },
		"Task":   func(x *Timed) any { return x.Task(time.UnixMilli(0)) },
	}

	untold = map[string]string{
		"Advance": "changes", "AfterRestart": "changes", "Apply": "changes", "ApplyAll": "changes", "Restore": "changes",
		"Touch": "changes", "Wake": "changes", "Set": "changes", "GiveUp": "changes", "Release": "changes",
		"Image": "snapshots are compared", "Snapshot": "snapshots are compared",
		"Due":       "it may be the moment of a timer whose cause is gone; those that are valid are compared",
		"CheckMove": "asked by the walk", "Lies": "asked by the walk",
		"Queue": "with Queues", "Run": "with DecideRun", "Schedule": "with Schedules",
		"Schedules": "with what is told of each",
		"NextRun":   "with Head", "Peek": "with Show", "Count": "with Info", "Settings": "with Info", "Halted": "with Info",
		"HaltedKeys": "with Info", "DecidePurge": "of Count alone", "DecideSettings": "of Settings alone",
		"DecideSchedule": "of Info alone",
		"DecideExtend":   "with Leased", "DecideNack": "with Leased", "DecideHold": "with Leased",
		"RoomForAck": "with Leased", "RoomForPartials": "with Leased",
		"Ask": "with Pace", "Late": "with Pace", "Limited": "with Pace",
	}
)

// walkIDs is how many ids a walk has.
const walkIDs = 500

func both[A, B any](a A, b B) []any { return []any{a, b} }

func either(rec []byte, err error) []any { return []any{rec, fmt.Sprint(err)} }

// TestTellsAll: what a method tells is compared, or there is a reason why not.
func TestTellsAll(t *testing.T) {
	told := maps.Clone(untold)
	for _, names := range [][]string{slices.Collect(maps.Keys(toldOfState)), slices.Collect(maps.Keys(toldOfQueue)),
		slices.Collect(maps.Keys(toldOfRun)), slices.Collect(maps.Keys(toldOfTask)), slices.Collect(maps.Keys(toldOfLease)),
		slices.Collect(maps.Keys(toldOfTimed))} {
		for _, name := range names {
			if _, ok := untold[name]; ok {
				t.Errorf("%s is told, and there is a reason why not", name)
			}
			told[name] = ""
		}
	}
	for _, x := range []any{&State{}, &Queue{}, &Run{}, &Timed{}, &Pace{}} {
		for i := range reflect.TypeOf(x).NumMethod() {
			if name := reflect.TypeOf(x).Method(i).Name; !hasKey(told, name) {
				t.Errorf("what %s of %T tells is not compared", name, x)
			}
		}
	}
}

func hasKey[V any](m map[string]V, key string) bool { _, ok := m[key]; return ok }

// tell is what a state tells, and what it keeps beside that, line by line. Ids that are past their window
// are forgotten when somebody looks, so that is done first.
func tell(s *State) string {
	var b strings.Builder
	say := func(what string, of, v any) {
		js, err := json.Marshal(v)
		if err != nil {
			js = []byte(err.Error())
		}
		fmt.Fprintf(&b, "%s %v: %s\n", what, of, js)
	}
	for _, q := range s.Queues() {
		q.ids.prune(s.now)
	}
	for _, name := range slices.Sorted(maps.Keys(toldOfState)) {
		say(name, "", toldOfState[name](s))
	}
	for _, q := range s.Queues() {
		for _, name := range slices.Sorted(maps.Keys(toldOfQueue)) {
			say(name, q.Name, toldOfQueue[name](s, q))
		}
		if q.ring != nil {
			say("key", q.Name, s.keyInfo(q, ""))
		}
		if q.halting != nil {
			fmt.Fprintln(&b, q.halting.breaker)
			if h := q.halting.keys; h != nil {
				fmt.Fprintln(&b, h.image())
			}
		}
	}
	for _, r := range s.Runs() {
		for _, name := range slices.Sorted(maps.Keys(toldOfRun)) {
			say(name, r.name, toldOfRun[name](s, r))
		}
		fmt.Fprintln(&b, r.name, r.owed, r.reserves, r.heldIn, names(r.followers))
	}
	for _, x := range s.Schedules() {
		for _, name := range slices.Sorted(maps.Keys(toldOfTimed)) {
			say(name, x.Name, toldOfTimed[name](x))
		}
		fmt.Fprintln(&b, x.from, x.last, x.put)
	}
	fmt.Fprintln(&b, s.places)

	some := []uint64{0, 1, s.NextTask()}
	for n := uint64(2); n < s.NextTask(); n += s.NextTask()/200 + 1 {
		some = append(some, n)
	}
	for _, r := range s.ranges {
		fmt.Fprintln(&b, r.first, r.end, r.rest, r.left, r.held, r.state, s.class[r.class].enc, r.frame, r.offset, r.size,
			r.body, r.due, r.expires, s.rangeCosts[r.first])
		for _, x := range r.rest {
			some = append(some, x.first, x.first+x.count-1)
		}
	}
	s.pick(func(*entry) bool { return true }, func(n uint64, e *entry) bool {
		fmt.Fprintln(&b, n, e.w0, e.w1, e.n, s.class[e.class].enc, s.costOf(n))
		if m := s.tasks.mark(n); m != nil {
			fmt.Fprintln(&b, *m)
		}
		some = append(some, n)
		return true
	})
	for _, n := range some {
		for _, name := range []string{"HasBody", "Place", "Reason", "StateOf"} {
			say(name, n, toldOfTask[name](s, n))
		}
	}
	for number := uint64(max(0, int64(s.next)-400)); number <= s.next; number++ {
		for _, name := range []string{"Deadline", "Find", "Lease", "Leased", "QueueOfLease"} {
			say(name, number, toldOfLease[name](s, number))
		}
	}
	for i, x := range []struct {
		t     *timers
		valid func(timer) bool
	}{{&s.delays, s.delayValid}, {&s.ttls, s.ttlValid}, {&s.leaseTimers, s.leaseValid},
		{&s.rangeDelays, s.rangeDelayValid}, {&s.rangeTTLs, s.rangeTTLValid}, {&s.halts, s.haltValid},
		{&s.keyTimers, s.keyTimerValid}} {
		var at []int64
		for _, timer := range x.t.byRef() {
			if x.valid(timer) && timer.ref < sweepRef { // when there was something to sweep is forgotten with it
				at = append(at, timer.at) // what it is for may have another number
			}
		}
		slices.Sort(at)
		fmt.Fprintln(&b, "timers", i, slices.Compact(at)) // one may be there twice, when its cause came back
	}
	return b.String()
}

// sameTold fails where two states do not tell the same.
func sameTold(t *testing.T, what, got, want string) {
	t.Helper()
	if got == want {
		return
	}
	a, b := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			at := 0
			for at < min(len(a[i]), len(b[i])) && a[i][at] == b[i][at] {
				at++
			}
			from := max(0, at-200)
			t.Fatalf("%s tells\n%.60s … %.400s\nthe live one\n%.60s … %.400s", what, a[i], a[i][from:], b[i], b[i][from:])
		}
	}
	t.Fatalf("%s tells %d lines, the live one %d", what, len(a), len(b))
}

// TestRestoredTells: what a restored state once told otherwise than the live one.
func TestRestoredTells(t *testing.T) {
	put := func(queue string) []byte { return AppendPut(nil, &glassq.Task{Queue: queue}) }
	run := func(name string, c glassq.RunChange) []byte { return AppendRun(nil, name, c) }
	dense := func(queue, run string, n uint32, ttl time.Duration) []byte {
		return AppendPut(nil, &glassq.Task{Queue: queue, Run: run, Dense: true, Position: n, TTL: ttl})
	}
	first, waits := run("first", glassq.RunChange{}), run("r", glassq.RunChange{After: "first"})
	lease := func(n uint64) []byte { return AppendLease(nil, n, n, 1000) }
	tests := []struct {
		name string
		log  [][]byte
	}{
		{"a run waits, and its task in one of two queues is gone", [][]byte{first, waits,
			dense("q0", "r", 0, time.Second), dense("q1", "r", 1, 0), AppendTime(nil, 2000)}},
		{"a run waits, and got a queue behind its put", [][]byte{first, waits,
			dense("q0", "r", 0, 0), run("r", glassq.RunChange{Queue: "q1"}), dense("q1", "r", 1, 0)}},
		{"runs wait, the youngest is first by its name", [][]byte{first, waits, dense("q0", "r", 0, 0), AppendTime(nil, 1),
			run("a", glassq.RunChange{After: "first"}), dense("q0", "a", 0, 0)}},
		{"a run waits of which a queue has results alone", [][]byte{
			AppendPut(nil, &glassq.Task{Queue: "results", Run: "r", OfAttempt: 1}), first, waits}},
		{"a queue was dropped in which a task was acked", [][]byte{put("q0"), put("q1"), lease(1), lease(2),
			AppendAck(nil, 1, glassq.OK, false), AppendAck(nil, 2, glassq.OK, false), AppendDrop(nil, "q0")}},
		{"all acks are of a queue that was dropped", [][]byte{put("q0"), lease(1), AppendAck(nil, 1, glassq.OK, false),
			AppendDrop(nil, "q0")}},
		{"a halted queue lets a probe go", [][]byte{
			AppendQueue(nil, "q0", glassq.Settings{Halt: "failed>0% of 1", HaltResume: 1}), put("q0"), put("q0"),
			lease(1), AppendAck(nil, 1, glassq.Failed, false), AppendTime(nil, 5000)}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := New(Hooks{})
			s.Advance(1000)
			for _, frame := range tt.log {
				if _, err := s.ApplyAll(frame, 1); err != nil {
					t.Fatal(err)
				}
			}
			restored := New(Hooks{})
			if err := restored.Restore(strings.NewReader(string(snapshot(t, s)))); err != nil {
				t.Fatal(err)
			}
			sameTold(t, "the restored state", tell(restored), tell(s))
		})
	}
}
