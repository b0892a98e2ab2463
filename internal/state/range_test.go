package state

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/glassq/glassq"
)

// A pair is two states that get the same tasks, one by one and as ranges, and the same verbs.
type pair struct {
	t         *testing.T
	rnd       *rand.Rand
	one, many *State
	frames    [2]uint64
	held      []uint64
	costs     bool // keys have limits of cost: which of two comes first that may go at the same moment is not said
}

func (p *pair) both(rec []byte) {
	p.t.Helper()
	p.apply(0, rec)
	p.apply(1, rec)
}

func (p *pair) apply(which int, rec []byte) {
	p.t.Helper()
	p.frames[which]++
	if _, err := []*State{p.one, p.many}[which].Apply(rec, p.frames[which], 0); err != nil {
		p.t.Fatalf("Apply(% x) to state %d: %v", rec, which, err)
	}
}

func (p *pair) advance(now int64) {
	p.one.Advance(now)
	p.many.Advance(now)
}

// puts puts the positions of t one by one into one state and as a range into the other.
func (p *pair) puts(t glassq.Task) {
	if !p.many.IsDuplicate(&t) {
		p.apply(1, AppendPut(nil, &t))
	}
	for i := range t.Range.Count {
		x := t
		x.Range = nil
		x.Position += uint32(i)
		x.Body = fmt.Appendf(nil, "body %d", uint64(x.Position)+t.Range.Add)
		if !p.one.IsDuplicate(&x) {
			p.apply(0, AppendPut(nil, &x))
		}
	}
}

func (p *pair) step() {
	queue := fmt.Sprintf("q%d", p.rnd.IntN(2))
	run := fmt.Sprintf("r%d", p.rnd.IntN(5))
	if p.rnd.IntN(3) == 0 {
		p.advance(p.one.now + p.rnd.Int64N(2500))
	}
	t := glassq.Task{Queue: queue, Run: run, Dense: true, Position: uint32(p.rnd.IntN(3000)),
		Priority: glassq.Level(4 + p.rnd.IntN(2)), Attempts: p.rnd.IntN(3)}
	if p.rnd.IntN(2) == 0 {
		t.Key, t.Cost = fmt.Sprint("key", p.rnd.IntN(4)), uint32(p.rnd.IntN(4))
	}
	if p.rnd.IntN(4) == 0 {
		t.Delay = time.Duration(p.rnd.IntN(5000)) * time.Millisecond
	}
	if p.rnd.IntN(3) == 0 {
		t.TTL = time.Duration(1+p.rnd.IntN(9000)) * time.Millisecond
	}
	switch k := p.rnd.IntN(20); {
	case k < 2:
		t.Range, t.Body = &glassq.Range{Count: 1 + p.rnd.Uint64N(800), Add: p.rnd.Uint64N(50)}, []byte("body {0}")
		p.puts(t)
	case k < 3:
		if t.Body = []byte("single"); !p.one.IsDuplicate(&t) {
			p.both(AppendPut(nil, &t))
		}
	case k < 10:
		number, _ := p.one.NextLease()
		if q := p.one.Queue(queue); q != nil {
			if n, ok := p.one.Head(q, nil); ok && p.one.MayHandOut(q) > 0 {
				if p.rnd.IntN(6) == 0 {
					p.both(AppendTake(nil, n))
					break
				}
				p.both(AppendLease(nil, number, n, 1000+p.rnd.Int64N(5000)))
				p.held = append(p.held, number)
			}
		}
	case k < 17:
		if len(p.held) == 0 {
			return
		}
		i := p.rnd.IntN(len(p.held))
		number := p.held[i]
		p.held = append(p.held[:i], p.held[i+1:]...)
		if _, ok := p.one.leases.get(number); !ok {
			return
		}
		switch p.rnd.IntN(12) {
		case 0:
			p.both(AppendHold(nil, queue, fmt.Sprint("key", p.rnd.IntN(4)), p.rnd.Int64N(9000), "why"))
		case 1:
			p.both(AppendKeyCost(nil, number, uint32(p.rnd.IntN(9))))
		}
		switch p.rnd.IntN(6) {
		case 0:
			p.both(AppendNack(nil, number, &glassq.Nack{Reason: "why"}, p.rnd.Int64N(2000)))
		case 1:
			p.both(AppendNack(nil, number, &glassq.Nack{Undone: true}, 0))
		case 2:
			p.both(AppendNack(nil, number, &glassq.Nack{Dead: true}, 0))
		default:
			p.both(AppendAck(nil, number, glassq.Outcome(p.rnd.IntN(2)), p.rnd.IntN(2) == 0))
		}
	default:
		switch p.rnd.IntN(14) {
		case 0:
			p.both(AppendPurge(nil, queue, glassq.Ready))
		case 1:
			p.both(AppendPurge(nil, queue, glassq.Dead, glassq.Delayed))
		case 2, 3, 4:
			p.both(appendRedrive(nil, queue, 1+p.rnd.IntN(3)))
		case 5:
			p.both(AppendCancel(nil, run))
		case 6:
			set := glassq.Settings{Attempts: p.rnd.IntN(4), Rate: float64(p.rnd.IntN(2) * 100), Fair: p.rnd.IntN(2) == 0}
			if p.rnd.IntN(2) == 0 {
				limits := glassq.KeyLimits{Weight: new(1 + p.rnd.IntN(3)), Concurrency: new(p.rnd.IntN(3))}
				set.Keys = &glassq.KeyRules{KeyLimits: limits}
				if p.costs { // a purge one by one may come to a task that its key has tokens for, which wakes the pace
					set.Rate, set.Keys.CostRate = 0, new(glassq.KeyRate(fmt.Sprint(1+p.rnd.IntN(3))))
				}
			}
			if p.rnd.IntN(3) == 0 {
				set.Halt, set.HaltResume = "failed>30% of 7", float64(p.rnd.IntN(3))
				if p.rnd.IntN(2) == 0 {
					set.HaltPer = glassq.HaltPerKey
				}
			}
			p.both(AppendQueue(nil, queue, set))
		case 7:
			if rec := p.one.DecideResume(queue); rec != nil && p.rnd.IntN(2) == 0 {
				p.both(rec)
			} else if q := p.one.Queue(queue); q != nil && q.Count(glassq.Leased) == 0 {
				p.both(AppendDrop(nil, queue))
			}
		case 10, 11: // all of a run waits for the end of another
			after := fmt.Sprintf("r%d", p.rnd.IntN(3))
			if c := (glassq.RunChange{After: after, AfterAny: true}); p.one.checkRun(run, c) == nil {
				if err := p.many.checkRun(run, c); err != nil {
					p.t.Fatalf("checkRun = nil one by one, %v as a range", err)
				}
				p.both(AppendRun(nil, run, c))
			}
		case 12, 13:
			p.both(AppendRun(nil, run, glassq.RunChange{Sealed: true}))
		case 8: // both go on from their snapshots
			p.one, p.many = restored(p.t, p.one), restored(p.t, p.many)
		case 9: // its bodies move
			some, _, _ := p.many.Survivors(nil, 1, p.frames[1]+1, 0)
			for _, x := range some {
				if r := p.many.rangeOf(x.Task); r != nil && r.size > 0 {
					r.frame = p.frames[1]
				}
			}
		}
	}
}

// restored is s as a start makes it.
func restored(t *testing.T, s *State) *State {
	t.Helper()
	again := New(Hooks{})
	if err := again.Restore(bytes.NewReader(snapshot(t, s))); err != nil {
		t.Fatal(err)
	}
	return again
}

// TestKeysTakeTurnsInOrder: a ring that is made anew has keys in the order of the tasks that come next,
// whether these are of a range or not.
func TestKeysTakeTurnsInOrder(t *testing.T) {
	fair := AppendQueue(nil, "q", glassq.Settings{Fair: true})
	for _, tt := range []struct {
		name string
		ring func(*State) *State
	}{
		{"keys come on", func(s *State) *State { must(t, s, fair); return s }},
		{"a start", func(s *State) *State { must(t, s, fair); return restored(t, s) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := New(Hooks{})
			s.Advance(1_700_000_000_000)
			task := glassq.Task{Queue: "q", Run: "r", Dense: true, Key: "range", Body: []byte("body {0}"), Range: &glassq.Range{Count: 2}}
			must(t, s, AppendPut(nil, &task))
			for i, key := range []string{"single", "other"} {
				must(t, s, AppendPut(nil, &glassq.Task{Queue: "q", Run: "r", Dense: true, Position: uint32(2 + i), Key: key}))
			}
			s = tt.ring(s)
			var got []uint64
			for number := range uint64(4) {
				n, _ := s.Head(s.Queue("q"), nil)
				must(t, s, AppendLease(nil, 1+number, n, 1000))
				got = append(got, n)
			}
			if fmt.Sprint(got) != "[1 3 4 2]" {
				t.Errorf("hand-outs %v; want 1, 3, 4, 2", got)
			}
		})
	}
}

// end writes the ends of runs that have come to them.
func (p *pair) end() {
	for {
		rec, _, ok := p.one.DecideEnd()
		also, _, too := p.many.DecideEnd() // what one record ends comes in an order of its own
		if ok != too {
			p.t.Fatalf("an end % x, %v one by one; % x, %v as a range", rec, ok, also, too)
		}
		if !ok {
			return
		}
		p.both(rec)
	}
}

// told is what can be seen of a state, but for where bodies lie and how many bytes they have. turns says
// that the order of keys counts.
func told(s *State, turns bool) string {
	var b strings.Builder
	for _, q := range s.Queues() {
		info := q.Info()
		if info.Keys != nil {
			fmt.Fprintf(&b, "%+v ", *info.Keys)
		}
		info.Bytes, info.Keys, info.Settings.Keys = 0, nil, nil
		var p Place
		n, ok := s.Head(q, &p)
		next := s.NextRun(q)
		if q.ring != nil && !turns {
			for _, k := range append(s.Keys(q, "", 99), s.keyInfo(q, "")) {
				js, _ := json.Marshal(k)
				fmt.Fprintf(&b, "%s ", js)
				if k.Ready > 0 {
					first, _ := s.firstIn(&q.ring.keys[k.Key].top().lane)
					fmt.Fprint(&b, "next ", first, " ")
				}
			}
			n, p, ok, next = 0, Place{}, false, ""
		}
		fmt.Fprintf(&b, "%+v head %d at %d try %d %v, next run %q, pace %v\n", info, n, p.Position, p.Attempt, ok, next,
			q.Pace.image())
		for _, in := range []glassq.State{glassq.Delayed, glassq.Ready, glassq.Leased, glassq.Dead} {
			for _, cursor := range []uint64{0, n + 3, n + 700} {
				found, places := s.Show(q, in, cursor, 5)
				for i, x := range found {
					fmt.Fprint(&b, in, cursor, x.Number, x.State, x.Attempt, x.Reason, x.Due, " at ", places[i].Position, "; ")
				}
			}
			fmt.Fprintln(&b)
		}
	}
	for _, r := range s.Runs() {
		fmt.Fprintf(&b, "%+v\n", s.RunInfo(r))
		for _, set := range []glassq.IDSet{glassq.IDsPut, glassq.IDsDone, glassq.IDsFailed, glassq.IDsDead} {
			fmt.Fprintln(&b, set, r.IDs(set, 0, 10000), r.IDs(set, 1000, 3))
		}
	}
	fmt.Fprintln(&b, s.Tasks(), s.tasks.next, s.now)
	return b.String()
}

// TestRangeIsItsTasks: whatever is done, a range and the same tasks one by one show the same.
func TestRangeIsItsTasks(t *testing.T) {
	rounds, steps := 12, 500
	if testing.Short() {
		rounds = 4
	}
	for round := range rounds {
		sd := *seed
		if sd == 0 {
			sd = rand.Uint64()
		}
		t.Run(fmt.Sprint(round), func(t *testing.T) {
			t.Logf("-seed %d", sd)
			p := &pair{t: t, rnd: rand.New(rand.NewPCG(sd, 1)), one: New(Hooks{}), many: New(Hooks{}), costs: round%2 == 1}
			p.many.tasks.hotMost = 1 + p.rnd.IntN(4)
			p.advance(1_700_000_000_000)
			for i := range steps {
				p.step()
				p.end()
				one, many := strings.Split(told(p.one, !p.costs), "\n"), strings.Split(told(p.many, !p.costs), "\n")
				for k := range min(len(one), len(many)) {
					if one[k] != many[k] {
						t.Fatalf("step %d, one by one and as a range:\n%.700s\n%.700s", i, one[k], many[k])
					}
				}
				for _, q := range p.one.Queues() {
					a, found := p.one.NextDelayed(q) // it looks at some timers only, so it may not find one
					b, also := p.many.NextDelayed(p.many.Queue(q.Name))
					if found && also && a != b {
						t.Fatalf("step %d: queue %s is delayed until %d one by one, until %d as a range", i, q.Name, a, b)
					}
				}
				if len(one) != len(many) {
					t.Fatalf("step %d: %d lines one by one, %d as a range", i, len(one), len(many))
				}
			}
		})
	}
}

// TestRangeOfABillion: nothing that is done to a range takes time or memory by its length.
func TestRangeOfABillion(t *testing.T) {
	const count = 1_000_000_000
	tests := []struct {
		name string
		do   []byte
		want glassq.Books
	}{
		{"cancel", AppendCancel(nil, "r"), glassq.Books{Put: count, OK: 1, Dead: glassq.DeadCounts{Cancelled: count - 2}}},
		{"purge", AppendPurge(nil, "q", glassq.Ready), glassq.Books{Put: count, OK: 1, Dead: glassq.DeadCounts{Purged: count - 2}}},
		{"expire", AppendTime(nil, 3_600_000), glassq.Books{Put: count, OK: 1, Dead: glassq.DeadCounts{Expired: count - 1}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			live := map[uint64]int64{}
			s := New(Hooks{Live: func(f uint64, _, _ int64) { live[f]++ }, Dropped: func(f uint64, _ int64) { live[f]-- }})
			s.Advance(1_700_000_000_000)
			apply := func(frame uint64, rec []byte) {
				t.Helper()
				if _, err := s.Apply(rec, frame, 0); err != nil {
					t.Fatal(err)
				}
			}
			apply(1, AppendPut(nil, &glassq.Task{Queue: "q", Run: "r", Dense: true, TTL: time.Hour, Body: []byte("http://h/{0}"),
				Range: &glassq.Range{Count: count}}))
			q := s.Queue("q")
			if q.Count(glassq.Ready) != count || s.Tasks() != count || s.NextTask() != count+1 {
				t.Fatalf("%d ready of %d tasks, next number %d", q.Count(glassq.Ready), s.Tasks(), s.NextTask())
			}
			if got := s.Peek(q, glassq.Ready, 900_000_000, 3); fmt.Sprint(got) != "[900000000 900000001 900000002]" {
				t.Errorf("Peek from 900000000 = %v", got)
			}
			apply(2, AppendLease(nil, 1, 1, 1000))
			apply(2, AppendLease(nil, 2, 2, 1000))
			apply(2, AppendAck(nil, 1, glassq.OK, true))
			var b bytes.Buffer
			if err := s.Snapshot(&b); err != nil {
				t.Fatal(err)
			}
			if b.Len() > 2000 {
				t.Errorf("a snapshot has %d bytes", b.Len())
			}
			apply(3, tt.do)
			r := s.Run("r")
			if got := s.RunInfo(r).Books; got != tt.want && got.Pending() != 1 {
				t.Errorf("books %+v, want %+v", got, tt.want)
			}
			if ids := r.IDs(glassq.IDsPut, 0, 10); len(ids) != 1 || ids[0].Last != count-1 {
				t.Errorf("ids put = %v", ids)
			}
			if n, ok := s.Head(q, nil); ok && n != 2 {
				t.Errorf("task %d comes next", n)
			}
			if len(r.IDs(glassq.IDsDead, 0, 10)) == 0 {
				t.Error("no ids are dead")
			}
			if l, ok := s.leases.get(2); ok {
				if l.task != 2 || live[1] != 1 {
					t.Errorf("lease of task %d, %d bodies live in frame 1", l.task, live[1])
				}
				apply(4, AppendAck(nil, 2, glassq.OK, true))
			}
			if live[1] != 0 || len(s.ranges) != 0 || s.Tasks() != 0 || len(s.class) > 1 || s.tasks.chunks != 0 {
				t.Errorf("%d bodies live in frame 1, %d ranges, %d tasks, %d chunks", live[1], len(s.ranges), s.Tasks(), s.tasks.chunks)
			}
		})
	}
}

// TestPositionsShare: what positions of ranges say is the same whether one decoder reads them all, in
// any order, or each is read alone; and no two have one map of headers.
func TestPositionsShare(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 0))
	var recs [][]byte
	for i := range 6 {
		task := glassq.Task{Queue: "q", Run: fmt.Sprint("r", i%4), Dense: true, Position: uint32(i),
			Body: []byte("body {0:03}"), Range: &glassq.Range{Count: 100, Add: uint64(i)}}
		if i%2 == 1 {
			task.Headers = map[string]string{"h": "v"}
		}
		rec := AppendPut(nil, &task)
		if i >= 4 {
			moved, ok := AppendMove(nil, 1, int64(i), rec)
			if !ok {
				t.Fatal("no move")
			}
			rec = moved
		}
		recs = append(recs, rec)
	}
	var all Decoder
	var before glassq.Task
	for range 1000 {
		rec, position := recs[rnd.IntN(len(recs))], uint32(rnd.IntN(100))
		for range 1 + rnd.IntN(3) {
			var alone Decoder
			var got, want glassq.Task
			put, err := all.Position(&got, rec, position)
			wantPut, wantErr := alone.Position(&want, rec, position)
			if err != nil || wantErr != nil || put != wantPut || !reflect.DeepEqual(got, want) {
				t.Fatalf("%+v at %d, %v; alone %+v at %d, %v", got, put, err, want, wantPut, wantErr)
			}
			if clear(before.Headers); want.Headers != nil && len(got.Headers) == 0 {
				t.Fatal("two tasks have one map")
			}
			before = got
			position++
		}
	}
}
