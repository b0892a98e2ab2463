package state

import (
	"bytes"
	"cmp"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/glassq/glassq"
)

var seed = flag.Uint64("seed", 0, "seed of the random walks; 0 draws one")

// A walker drives a State by random records, keeps them as a log of frames, and checks on the way.
type walker struct {
	t      *testing.T
	rnd    *rand.Rand
	s      *State
	now    int64
	frames []walkFrame
	held   []uint64 // live leases, some of them expired meanwhile
	live   map[uint64]weigh
	called map[any]bool // who waits was called, see wakes
}

type walkFrame struct {
	time int64
	recs []byte
}

// A weigh is what the hooks said of a frame.
type weigh struct{ tasks, bytes int64 }

func (w *walker) hooks(live map[uint64]weigh) Hooks {
	add := func(f uint64, by, bytes int64) {
		live[f] = weigh{live[f].tasks + by, live[f].bytes + bytes}
	}
	return Hooks{Live: func(f uint64, n, _ int64) { add(f, 1, n) }, Dropped: func(f uint64, n int64) { add(f, -1, -n) }}
}

// move writes the bodies of some frames again, as compaction does.
func (w *walker) move() {
	end := uint64(len(w.frames)) // not the one being filled
	if end < 2 {
		return
	}
	first := 1 + w.rnd.Uint64N(end-1)
	end = min(end, first+w.rnd.Uint64N(20))
	var some []Lying
	for cursor, done := uint64(0), false; !done; {
		some, cursor, done = w.s.Survivors(some, first, end, cursor)
	}
	want := 0
	for f := first; f < end; f++ {
		want += int(w.live[f].tasks)
	}
	if len(some) != want {
		w.t.Fatalf("%d survivors of frames %d to %d, want %d", len(some), first, end, want)
	}
	for _, x := range some {
		if w.rnd.IntN(4) == 0 {
			continue
		}
		f := w.frames[x.Frame-1]
		if IsCheckpoint(f.recs[x.Offset:]) {
			w.moveCheckpoint(x, f.recs[x.Offset:])
			continue
		}
		before, put, err := decodeTask(f.recs[x.Offset:])
		if err != nil {
			w.t.Fatalf("task %d at frame %d, %d: %v", x.Task, x.Frame, x.Offset, err)
		}
		if put == 0 {
			put = f.time
		}
		rec, ok := AppendMove(nil, x.Task, f.time, f.recs[x.Offset:])
		if !ok {
			w.t.Fatalf("task %d at frame %d, %d does not move", x.Task, x.Frame, x.Offset)
		}
		w.add(rec)
		p, _ := w.s.Place(x.Task)
		if r := w.s.rangeOf(x.Task); r != nil {
			p = Place{Frame: r.frame, Offset: r.offset}
		}
		after, at, err := decodeTask(w.frames[p.Frame-1].recs[p.Offset:])
		if err != nil || at != put || shown(after) != shown(before) {
			w.t.Fatalf("task %d of %d moved: %+v became %+v of %d, %v", x.Task, put, before, after, at, err)
		}
	}
}

// moveCheckpoint moves the checkpoint of a task, and reads it where it lies then.
func (w *walker) moveCheckpoint(x Lying, rec []byte) {
	before, err := Checkpoint(rec)
	moved, ok := AppendMove(nil, x.Task, 0, rec)
	if err != nil || !ok || w.s.CheckMove(moved) != nil {
		w.t.Fatalf("the checkpoint of task %d at frame %d, %d does not move: %v", x.Task, x.Frame, x.Offset, err)
	}
	w.add(moved)
	p, _ := w.s.Place(x.Task)
	frame, offset, _ := p.Checkpoint()
	after, err := Checkpoint(w.frames[frame-1].recs[offset:])
	if w.s.Lies(x) || !w.s.Lies(Lying{x.Task, frame, offset}) || !bytes.Equal(after, before) {
		w.t.Fatalf("the checkpoint of task %d moved: %q became %q, %v", x.Task, before, after, err)
	}
}

// say has a worker say something, and repeat itself.
func (w *walker) say(number uint64) {
	x := glassq.Extend{Token: glassq.Token{Number: number}, Seq: w.s.lastSaid(number, w.s.Leased(number).Task) + 1}
	p := &glassq.Progress{Done: w.rnd.Float64()*2 - 1}
	if w.rnd.IntN(2) == 0 {
		p.Note = fmt.Sprint("page ", w.rnd.IntN(1000))
	}
	if w.rnd.IntN(2) == 0 {
		p.Checkpoint = bytes.Repeat([]byte("x"), w.rnd.IntN(300))
	}
	if w.rnd.IntN(8) > 0 {
		x.Progress = p
	}
	rec, err := w.s.DecideExtend(nil, &x)
	if glassq.CodeOf(err) == glassq.CodeQueueFull {
		return
	}
	if err != nil {
		w.t.Fatalf("DecideExtend(%+v) = %v", x, err)
	}
	w.add(rec)
	if rec, err := w.s.DecideExtend(nil, &x); err != nil || len(rec) > 0 {
		w.t.Fatalf("DecideExtend(%+v) again = % x, %v; want nothing", x, rec, err)
	}
	if x.Seq += 2; x.Seq > 0 {
		if _, err := w.s.DecideExtend(nil, &x); glassq.CodeOf(err) != glassq.CodeBadRequest {
			w.t.Fatalf("DecideExtend(%+v), out of turn = %v; want bad_request", x, err)
		}
	}
	if w.rnd.IntN(6) == 0 && !w.s.Leased(number).IsResult {
		d := w.s.Leased(number)
		w.result(&d)
	}
	task := w.s.Leased(number).Task
	if m := w.s.tasks.mark(task); m.size > 0 && w.rnd.IntN(30) == 0 {
		w.add(AppendForget(nil, task))
	}
}

func (w *walker) add(rec []byte) {
	f := &w.frames[len(w.frames)-1]
	off := len(f.recs)
	f.recs = append(f.recs, rec...)
	w.wakes(fmt.Sprintf("record %x", rec[:min(len(rec), 40)]), func() {
		n, err := w.s.Apply(f.recs[off:], uint64(len(w.frames)), uint32(off))
		if err != nil || n != len(rec) {
			w.t.Fatalf("Apply(% x) = %d, %v; want %d", rec, n, err, len(rec))
		}
	})
}

func (w *walker) step() {
	if len(w.frames) == 0 || w.rnd.IntN(4) == 0 {
		w.now += w.rnd.Int64N(3000)
		if w.rnd.IntN(60) == 0 { // windows pass, and the time of runs
			jumps := []time.Duration{time.Minute, 11 * time.Minute, 25 * time.Hour, 8 * 24 * time.Hour}
			w.now += jumps[w.rnd.IntN(len(jumps))].Milliseconds()
		}
		w.frames = append(w.frames, walkFrame{time: w.now})
		w.wakes("time", func() { w.s.Advance(w.now) })
	} else if w.rnd.IntN(3) == 0 {
		d := w.rnd.Int64N(500)
		w.now += d
		w.add(AppendTime(nil, d))
	}
	queue := []string{"q0", "q1", "q2", "q0", "q1", "q2", glassq.DefaultResults}[w.rnd.IntN(7)]
	q := w.s.Queue(queue)
	if w.rnd.IntN(40) == 0 {
		w.move()
	}
	switch w.rnd.IntN(12) {
	case 0, 1, 2, 3:
		t := glassq.Task{Queue: queue, Body: fmt.Appendf(nil, "body %d", w.rnd.IntN(1000)),
			Priority: glassq.Level(w.rnd.IntN(10)), Attempts: w.rnd.IntN(4)}
		switch w.rnd.IntN(3) {
		case 0:
			t.Run, t.Position, t.Dense = w.run(), uint32(w.rnd.IntN(5000)), true
		case 1:
			t.ID = fmt.Sprint("id", w.rnd.IntN(walkIDs))
		}
		if w.rnd.IntN(3) > 0 {
			t.Key = fmt.Sprint("key", w.rnd.IntN(6))
		}
		if w.rnd.IntN(3) == 0 {
			t.Cost = uint32(w.rnd.IntN(5))
		}
		if w.rnd.IntN(4) == 0 {
			t.Delay = time.Duration(w.rnd.IntN(5000)) * time.Millisecond
		}
		if w.rnd.IntN(4) == 0 {
			t.TTL = time.Duration(1+w.rnd.IntN(9000)) * time.Millisecond
		}
		if t.Dense && w.rnd.IntN(4) == 0 {
			t.Range, t.Body = &glassq.Range{Count: 1 + w.rnd.Uint64N(700), Add: 5}, []byte("body {0}")
			if w.rnd.IntN(30) == 0 {
				t.Position, t.Range.Count = 100_000, wholeLen+w.rnd.Uint64N(wholeLen)
			}
		}
		w.put(&t)
	case 4, 5, 6:
		if q == nil {
			return
		}
		number, _ := w.s.NextLease()
		if q.settings.Paused {
			return
		}
		if n, ok := w.s.Head(q, nil); ok && w.s.MayHandOut(q) > 0 && w.paced(q) {
			w.add(AppendLease(nil, number, n, 1000+w.rnd.Int64N(5000)))
			w.held = append(w.held, number)
		}
	case 7, 8, 9:
		if len(w.held) == 0 {
			return
		}
		i := w.rnd.IntN(len(w.held))
		number := w.held[i]
		if _, ok := w.s.leases.get(number); !ok {
			w.held = append(w.held[:i], w.held[i+1:]...)
			return
		}
		d := w.s.Leased(number)
		if w.rnd.IntN(8) == 0 {
			rec, err := w.s.DecideHold(nil, &glassq.Nack{Token: glassq.Token{Number: number}, Reason: "why",
				Hold: time.Duration(w.rnd.Int64N(90_000)) * time.Millisecond})
			w.decided([][]byte{rec}, err)
		} else if w.rnd.IntN(4) == 0 {
			w.add(AppendKeyCost(nil, number, uint32(w.rnd.IntN(9))))
		}
		switch w.rnd.IntN(9) {
		case 6, 7, 8:
			w.say(number)
		case 0:
			w.add(AppendNack(nil, number, &glassq.Nack{Reason: "why"}, w.rnd.Int64N(2000)))
		case 1:
			w.add(AppendNack(nil, number, &glassq.Nack{Undone: true}, max(0, w.rnd.Int64N(4000)-2000)))
		case 2:
			w.add(AppendNack(nil, number, &glassq.Nack{Dead: true}, 0))
		case 3:
			w.add(AppendExtend(nil, number, 1000+w.rnd.Int64N(5000)))
		default:
			w.add(AppendAck(nil, number, glassq.Outcome(w.rnd.IntN(2)), !d.IsResult))
			if !d.IsResult {
				w.result(&d)
			}
		}
	case 10:
		if q != nil {
			if n, ok := w.s.Head(q, nil); ok {
				w.add(AppendTake(nil, n))
			}
		}
	default:
		switch w.rnd.IntN(16) {
		default:
			w.flow(queue)
		case 0:
			w.add(AppendPurge(nil, queue, glassq.Ready))
		case 1:
			w.add(AppendPurge(nil, queue, glassq.Dead, glassq.Delayed))
		case 2, 3, 4:
			w.add(appendRedrive(nil, queue, 1+w.rnd.IntN(3)))
		case 5:
			w.add(AppendCancel(nil, w.run()))
		case 6:
			w.add(AppendRun(nil, w.run(), glassq.RunChange{Source: "s", Reader: fmt.Sprint(w.rnd.IntN(20))}))
		case 7:
			w.add(AppendQueue(nil, queue, w.settings()))
		case 10:
			if rec := w.s.DecideResume(queue); rec != nil {
				w.add(rec)
			}
		case 8:
			if q != nil && q.Count(glassq.Leased) == 0 {
				w.add(AppendDrop(nil, queue))
			}
		case 9:
			w.add(AppendNumbers(nil, w.s.Limit()+10))
		}
	}
}

// check compares every count with what the table says, and balances the books.
func (w *walker) check(s *State, live map[uint64]weigh) {
	w.t.Helper()
	count := map[*Queue]*[5]int64{}
	pending := map[*Run]uint64{}
	frames := map[uint64]weigh{}
	held := map[*taskRange]int64{}
	total := int64(0)
	bytes, queues, runs := map[*Queue]int64{}, map[*Queue]going{}, map[*Run]going{}
	eldest := map[*Queue]uint64{}
	isReady := func(q *Queue, n uint64) { eldest[q] = min(n, cmp.Or(eldest[q], n)) }
	var marks, checkpoints int64
	s.pick(func(*entry) bool { return true }, func(n uint64, e *entry) bool {
		q := s.class[e.class].queue
		if count[q] == nil {
			count[q] = new([5]int64)
		}
		if count[q][e.state()]++; e.state() == glassq.Ready {
			isReady(q, n)
		}
		if e.frame() != 0 {
			f := frames[e.frame()]
			frames[e.frame()] = weigh{f.tasks + 1, f.bytes + s.weight(e)}
		} else {
			held[s.rangeAt(n)]++
		}
		if r := s.booked(e); r != nil && e.state() != glassq.Dead {
			pending[r]++
		}
		bytes[q] += e.size()
		if m := s.tasks.mark(n); m != nil {
			marks++
			if bytes[q] += m.held(); m.size > 0 {
				checkpoints++
				f := frames[m.frame]
				frames[m.frame] = weigh{f.tasks + 1, f.bytes + m.kept()}
			}
			if m.done != noDone && e.state() != glassq.Dead {
				queues[q] = going{queues[q].tasks + 1, queues[q].done + int64(m.done)}
				if r := s.booked(e); r != nil {
					runs[r] = going{runs[r].tasks + 1, runs[r].done + int64(m.done)}
				}
			}
		}
		total++
		return true
	})
	dead := map[*Queue][]uint64{}
	s.pick(func(e *entry) bool { return e.state() == glassq.Dead }, func(n uint64, e *entry) bool {
		q := s.class[e.class].queue
		dead[q] = append(dead[q], n)
		return true
	})
	ids := 0
	for _, q := range s.queues {
		ids += len(q.ids.seen)
		if !slices.Equal(q.dead.all(), dead[q]) {
			w.t.Fatalf("dead of queue %s: %v; the table has %v", q.Name, q.dead.all(), dead[q])
		}
	}
	if s.idCount != ids {
		w.t.Fatalf("counts %d ids, the queues remember %d", s.idCount, ids)
	}

	for _, r := range s.ranges {
		if r.held != held[r] {
			w.t.Fatalf("range at %d counts %d entries, the table has %d", r.first, r.held, held[r])
		}
		left := uint64(0)
		for _, x := range r.rest {
			left += x.count
		}
		if left != r.left || left == 0 && r.held == 0 {
			w.t.Fatalf("range at %d counts %d left, it has %d, and %d entries", r.first, r.left, left, r.held)
		}
		f := frames[r.frame]
		frames[r.frame] = weigh{f.tasks + 1, f.bytes + s.rangeWeight(r)}
		c := &s.class[r.class]
		if count[c.queue] == nil {
			count[c.queue] = new([5]int64)
		}
		if count[c.queue][r.state] += int64(left); r.state == glassq.Ready && left > 0 {
			isReady(c.queue, r.next())
		}
		bytes[c.queue] += r.size
		pending[c.run] += left
		total += int64(left)
	}
	if total != s.Tasks() {
		w.t.Fatalf("%d tasks in the table and in ranges, %d counted", total, s.Tasks())
	}
	if s.tasks.marks != marks || s.checkpoints != checkpoints {
		w.t.Fatalf("%d marks and %d checkpoints counted, the table has %d and %d", s.tasks.marks, s.checkpoints, marks, checkpoints)
	}
	for _, q := range s.Queues() {
		if n, _ := s.Eldest(q, nil); n != eldest[q] {
			w.t.Fatalf("the eldest ready task of queue %s is %d; the table has %d", q.Name, n, eldest[q])
		}
		if q.bytes != bytes[q] || q.going != queues[q] {
			w.t.Fatalf("queue %s has %d bytes and is going %v; the table has %d and %v", q.Name, q.bytes, q.going, bytes[q], queues[q])
		}
		want := count[q]
		if want == nil {
			want = new([5]int64)
		}
		if q.count != *want {
			w.t.Fatalf("queue %s counts %v, the table has %v", q.Name, q.count, *want)
		}
		if open := want[glassq.Delayed] + want[glassq.Ready] + want[glassq.Leased]; q.books.Pending() != uint64(open) {
			w.t.Fatalf("books of queue %s: %+v: pending %d, want %d", q.Name, q.books, q.books.Pending(), open)
		}
	}
	checkKeys(w.t, s)
	w.checkFlow(s)
	for _, r := range s.runs {
		if r.going != runs[r] {
			w.t.Fatalf("run %s is going %v; the table has %v", r.name, r.going, runs[r])
		}
		if r.books.Pending() != pending[r] {
			w.t.Fatalf("books of run %s: %+v: pending %d, want %d", r.name, r.books, r.books.Pending(), pending[r])
		}
	}
	for f, n := range live {
		if frames[f] != n {
			w.t.Fatalf("frame %d: %v live by the hooks, %v in the table", f, n, frames[f])
		}
	}
}

func snapshot(t testing.TB, s *State) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := s.Snapshot(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestWalk: a replay of the log, and a snapshot with the rest of the log, make the state that live
// traffic made; counts and books agree with the table after every step.
func TestWalk(t *testing.T) {
	rounds, steps := 60, 1500
	if testing.Short() {
		rounds = 10
	}
	for round := range rounds {
		sd := *seed
		if sd == 0 {
			sd = rand.Uint64()
		}
		t.Run(fmt.Sprint(round), func(t *testing.T) {
			t.Logf("-seed %d", sd)
			w := &walker{t: t, rnd: rand.New(rand.NewPCG(sd, 1)), now: 1_700_000_000_000, live: map[uint64]weigh{}}
			w.s = New(w.wakers(w.hooks(w.live)))
			w.s.tasks.hotMost = 1 + w.rnd.IntN(5)
			var held *Image // written long after it was taken
			var imageAt, imageLen int
			var then string // what the state told when it was taken
			takes := steps/4 + w.rnd.IntN(steps/2)
			for i := range steps {
				w.step()
				w.ends()
				if i%50 == 0 {
					w.check(w.s, w.live)
				}
				if i == takes {
					held, imageAt, imageLen = w.s.Image(), len(w.frames)-1, len(w.frames[len(w.frames)-1].recs)
					then = tell(w.s)
					w.bodies(held)
				}
			}
			want, now := snapshot(t, w.s), tell(w.s)
			var late bytes.Buffer
			if err := held.Write(&late); err != nil {
				t.Fatal(err)
			}
			image := late.Bytes()

			replay := func(s *State, from, skip int) {
				for i, f := range w.frames[from:] {
					s.Advance(f.time)
					for off := skip; off < len(f.recs); {
						n, err := s.Apply(f.recs[off:], uint64(from+i+1), uint32(off))
						if err != nil {
							t.Fatalf("replay, frame %d, byte %d: %v", from+i, off, err)
						}
						off += n
					}
					skip = 0
				}
				for _, q := range w.s.Queues() { // one may be there for no record, but for who waits for it
					s.Touch(q.Name)
				}
			}
			live := map[uint64]weigh{}
			again := New(w.hooks(live))
			replay(again, 0, 0)
			w.check(again, live)
			if !bytes.Equal(snapshot(t, again), want) {
				t.Error("the replayed state differs from the live one")
			}
			sameTold(t, "the replayed state", tell(again), now)
			restore := func(image []byte) *State {
				live = map[uint64]weigh{}
				s := New(w.hooks(live))
				if err := s.Restore(bytes.NewReader(image)); err != nil {
					t.Fatal(err)
				}
				w.check(s, live)
				if !bytes.Equal(snapshot(t, s), image) {
					t.Error("a restored state does not write the snapshot that it was read from")
				}
				return s
			}
			sameTold(t, "the state restored at the end", tell(restore(want)), now)
			restored := restore(image)
			sameTold(t, "the restored state", tell(restored), then)
			replay(restored, imageAt, imageLen)
			w.check(restored, live)
			sameTold(t, "a snapshot and the rest of the log", tell(restored), now)
		})
	}
}

// FuzzApply: no bytes make Apply panic or claim more than it was given.
func FuzzApply(f *testing.F) {
	f.Add(AppendPut(nil, &glassq.Task{Queue: "q", Run: "r", Position: 7, Dense: true, Body: []byte("x")}))
	f.Add(AppendLease(AppendPut(nil, &glassq.Task{Queue: "q", Run: "r", Position: 7, Dense: true, TTL: time.Second,
		Range: &glassq.Range{Count: 1 << 31}, Body: []byte("x{0}")}), 1, 1, 1000))
	f.Add(AppendPut(nil, &glassq.Task{Queue: "q", ID: "a", Type: glassq.TypeText, Headers: map[string]string{"a": "b"},
		TTL: time.Second}))
	f.Add(AppendRun(AppendQueue(nil, "q", glassq.Settings{Rate: 1}), "r", glassq.RunChange{Sealed: true}))
	if put := AppendPut(nil, &glassq.Task{Queue: "q", Body: []byte("x")}); true {
		moved, _ := AppendMove(put, 1, 5, put)
		f.Add(moved)
	}
	f.Add(AppendCancel(AppendDrop(appendRedrive(AppendPurge(nil, "q", glassq.Ready), "q", 3), "q"), "r"))
	f.Add(AppendAck(AppendLease(AppendPut(nil, &glassq.Task{Queue: "q"}), 1, 1, 1000), 1, glassq.OK, false))
	said := AppendProgress(AppendLease(AppendPut(nil, &glassq.Task{Queue: "q"}), 1, 1, 1000), &glassq.Extend{
		Token: glassq.Token{Number: 1}, Seq: 1, Progress: &glassq.Progress{Done: 0.5, Note: "n", Checkpoint: []byte("c")}}, 1000)
	f.Add(said)
	f.Add(AppendForget(said, 1))
	f.Fuzz(func(t *testing.T, in []byte) {
		s := New(Hooks{})
		for off := 0; off < len(in); {
			n, err := s.Apply(in[off:], 1, 1)
			if err != nil {
				return
			}
			if n <= 0 || off+n > len(in) {
				t.Fatalf("Apply took %d of %d bytes", n, len(in)-off)
			}
			off += n
		}
	})
}

// FuzzMove: a move is refused, or changes nothing but the place of its task; moving it on keeps it.
func FuzzMove(f *testing.F) {
	put := AppendPut(nil, &glassq.Task{Queue: "q", Body: []byte("x")})
	for _, rec := range [][]byte{put, AppendPut(nil, &glassq.Task{Queue: "p", Body: []byte("x")}),
		AppendPut(nil, &glassq.Task{Queue: "q", Body: []byte("longer")})} {
		moved, ok := AppendMove(nil, 1, 5, rec)
		if !ok {
			f.Fatalf("AppendMove of a put is refused")
		}
		f.Add(moved[1:])
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		in = append([]byte{byte(opMove)}, in...)
		s := New(Hooks{})
		if _, err := s.Apply(put, 1, 0); err != nil {
			t.Fatal(err)
		}
		n, err := s.Apply(in, 2, 3)
		e := s.tasks.get(1)
		if e == nil {
			t.Fatal("a move took the task away")
		}
		if err != nil {
			if e.frame() != 1 {
				t.Fatalf("a refused move set the place to frame %d: %v", e.frame(), err)
			}
			return
		}
		if n > len(in) || e.frame() != 2 || s.tasks.get(2) != nil {
			t.Fatalf("a move of %d bytes took %d, set the place to frame %d, and another task may be there", len(in), n,
				e.frame())
		}
		again, ok := AppendMove(nil, 1, 99, in[:n])
		if !ok {
			t.Fatal("a move that was applied cannot be moved on")
		}
		_, before, _ := unwrap(in[:n])
		if _, after, err := unwrap(again); err != nil || after != before {
			t.Fatalf("put at %d, moved on: put at %d, %v", before, after, err)
		}
	})
}

// FuzzPut: what decodes encodes to something that decodes to the same.
func FuzzPut(f *testing.F) {
	f.Add(AppendPut(nil, &glassq.Task{Queue: "q", Run: "r", Position: 7, Dense: true, Type: "x/y", Key: "k", Flags: 3,
		OfAttempt: 2, Body: []byte("x")}))
	f.Add(AppendPut(nil, &glassq.Task{Queue: "q", Run: "r", Position: 7, Dense: true, Type: "x/y",
		Range: &glassq.Range{Count: 1 << 31, Add: 9}, Body: []byte("x{0:03}")}))
	f.Fuzz(func(t *testing.T, in []byte) {
		var d Decoder
		var task, again glassq.Task
		if _, err := d.Task(&task, in); err != nil || task.Queue == "" {
			return
		}
		if _, err := d.Task(&again, AppendPut(nil, &task)); err != nil || shown(again) != shown(task) {
			t.Fatalf("%+v became %+v, %v", task, again, err)
		}
	})
}

// FuzzRestore: no snapshot makes Restore panic.
func FuzzRestore(f *testing.F) {
	s := New(Hooks{})
	for _, task := range []glassq.Task{{Queue: "a", Body: []byte("x")},
		{Queue: "b", Run: "r", Dense: true, TTL: time.Hour}, {Queue: "b", ID: "i", Delay: time.Hour},
		{Queue: "b", Run: "r", Dense: true, Position: 9, Range: &glassq.Range{Count: 1 << 20}}} {
		if _, err := s.Apply(AppendPut(nil, &task), 1, 0); err != nil {
			f.Fatal(err)
		}
	}
	f.Add(snapshot(f, s))
	rec := AppendProgress(AppendLease(nil, 1, 1, 1000), &glassq.Extend{Token: glassq.Token{Number: 1}, Seq: 1,
		Progress: &glassq.Progress{Done: 0.5, Note: "n", Checkpoint: []byte("c")}}, 1000)
	if _, err := s.ApplyAll(rec, 2); err != nil {
		f.Fatal(err)
	}
	f.Add(snapshot(f, s))
	f.Fuzz(func(t *testing.T, in []byte) {
		if err := New(Hooks{}).Restore(bytes.NewReader(in)); err != nil {
			return
		}
	})
}

func shown(t glassq.Task) string {
	r := t.Range
	t.Range = nil
	return fmt.Sprint(t, r)
}

func decodeTask(rec []byte) (t glassq.Task, put int64, err error) {
	var d Decoder
	put, err = d.Task(&t, rec)
	return t, put, err
}
