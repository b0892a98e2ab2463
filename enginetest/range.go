package enginetest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/glassq/glassq"
)

// Ranges: positions that were put as one are tasks like any other.
func rangeLaws() []law {
	return slices.Concat([]law{
		{"range: each position is a task with its number in its body", rangeBodies},
		{"range: positions that were put before are duplicates", rangeDuplicates},
		{"range: its positions are counted by limits and by the seal of a run", rangeLimits},
		{"range: it stands in the order of the puts", rangeOrder},
		{"range: an ack puts one in its commit", rangeFollows},
		{"range: a billion positions are handed out, shown, purged and cancelled", rangeOfABillion},
	}, perEnd("range: it shows what its tasks would show one by one", rangeIsItsTasks))
}

// span makes a range of the positions from first up to last of run r.
func span(queue string, first, last uint32) glassq.Task {
	return glassq.Task{Queue: queue, Run: "r", Dense: true, Position: first, Body: []byte("{0}"),
		Range: &glassq.Range{Count: uint64(last-first) + 1}}
}

func rangeBodies(w *world) {
	t := span("q", 7, 9)
	t.Type, t.Headers, t.Range.Add, t.Body = glassq.TypeJSON, map[string]string{"a": "b"}, 1000, []byte(`{"n":{0},"s":"{0:06}"}`)
	w.put(t)
	check := func(what string, i int, x *glassq.Task) {
		w.Helper()
		n := uint32(7 + i)
		if want := fmt.Sprintf(`{"n":%d,"s":"%06d"}`, 1000+n, 1000+n); string(x.Body) != want || x.Position != n || !x.Dense ||
			x.Range != nil || x.Type != glassq.TypeJSON || x.Headers["a"] != "b" || x.TaskID() != glassq.DenseID("r", n) {
			w.Errorf("%s %d = %+v; want body %s and position %d", what, i, x, want, n)
		}
	}
	for i, p := range w.peek("q", glassq.Ready) {
		check("Peek", i, &p.Task)
	}
	for i, l := range w.reserve("q", 10) {
		check("Reserve", i, &l.Task)
		w.nack(glassq.Nack{Token: l.Token(), Dead: true})
	}
	for i, p := range w.peek("q", glassq.Dead) {
		check("Peek of the dead", i, &p.Task)
	}
	w.held("q", 0, 0, 0, 3)
}

func rangeDuplicates(w *world) {
	w.put(dense("q", "r", 12)[3:5]...)
	r := w.put(span("q", 0, 9), span("q", 2, 8), dense("q", "r", 10)[9], span("q", 8, 11))
	if r[0].Duplicate || r[0].Put != 8 || !r[1].Duplicate || r[1].Put != 0 || !r[2].Duplicate || r[3].Put != 2 {
		w.Fatalf("receipts %+v; want 8, none, a duplicate, 2", r)
	}
	w.ids("r", glassq.IDsPut, glassq.Interval{First: 0, Last: 11})
	w.runBooks("r", glassq.Books{Put: 12})
	w.want("q", "3", "4", "0", "1", "2", "5", "6", "7", "8", "9", "10", "11")
}

func rangeLimits(w *world) {
	w.limit("q", 10)
	_, err := w.store().Put(w.Context(), []glassq.Task{span("q", 0, 10)})
	w.code("Put of 11 where 10 may be", err, glassq.CodeQueueFull)
	w.put(span("q", 0, 8))
	_, err = w.store().Put(w.Context(), []glassq.Task{span("q", 0, 10)})
	w.code("Put of 2 more where there is room for 1", err, glassq.CodeQueueFull)
	w.put(span("q", 0, 9))
	w.setRun("r", glassq.RunChange{Sealed: true, Total: 10})
	w.put(span("q", 0, 9)) // all were put before
	w.limit("q", 100)
	_, err = w.store().Put(w.Context(), []glassq.Task{span("q", 5, 10)})
	w.code("Put of position 10 of 10", err, glassq.CodeRunConflict)
	w.runBooks("r", glassq.Books{Put: 10})
	w.ack(acksOf(w.reserve("q", 10))...)
	if r := w.run("r"); !r.Complete {
		w.Errorf("run with all positions acked = %+v; want it complete", r)
	}
}

func rangeOrder(w *world) {
	high, late := span("q", 10, 11), span("q", 20, 21)
	high.Priority, late.Delay = glassq.Level(9), 5*time.Second
	single := tasks("q", "single")[0]
	w.put(late, span("q", 0, 1), single, span("q", 2, 3), high)
	w.want("q", "10", "11", "0", "1", "single", "2", "3")
	w.put(span("q", 4, 5))
	time.Sleep(6 * time.Second)
	w.want("q", "20", "21", "4", "5") // it was put first
}

func rangeFollows(w *world) {
	w.put(tasks("q", "root")...)
	l := w.one("q")
	w.ack(glassq.Ack{Token: l.Token(), Put: []glassq.Task{span("q", 0, 2)}})
	w.want("q", "0", "1", "2")
	w.runBooks("r", glassq.Books{Put: 3})
}

func rangeOfABillion(w *world) {
	const n = 1_000_000_000
	for _, end := range []string{"purge", "cancel"} {
		t := span("q", 0, n-1)
		t.Run = end
		w.put(t)
		w.held("q", 0, n, 0, 0)
		for i, l := range w.reserve("q", 1000) {
			if string(l.Body) != fmt.Sprint(i) {
				w.Fatalf("body %d = %q", i, l.Body)
			}
			w.ack(glassq.Ack{Token: l.Token()})
		}
		w.sys.Restart(w.T)
		got, next, err := w.store().Peek(w.Context(), "q", glassq.Ready, 0, 3)
		if err != nil || len(got) != 3 || string(got[0].Body) != "1000" || next == 0 {
			w.Fatalf("Peek after 1,000 = %d tasks, next %d, %v", len(got), next, err)
		}
		w.ids(end, glassq.IDsPut, glassq.Interval{First: 0, Last: n - 1})
		want := glassq.Books{Put: n, OK: 1000}
		if end == "purge" {
			want.Dead.Purged = n - 1000
			_, err = w.store().Purge(w.Context(), "q")
		} else {
			want.Dead.Cancelled = n - 1000
			_, err = w.store().CancelRun(w.Context(), end)
		}
		w.ok(end, err)
		w.runBooks(end, want)
		w.ids(end, glassq.IDsDead, glassq.Interval{First: 1000, Last: n - 1})
		w.none("q")
	}
}

// rangeIsItsTasks puts the same tasks into two queues, one by one and as ranges, does the same to
// both, and compares what they show after every step.
func rangeIsItsTasks(w *world, end func()) {
	const seed = 5
	rng := rand.New(rand.NewPCG(seed, 1))
	one := func(s string) string { return s + ".one" }
	many := func(s string) string { return s + ".many" }
	both := []func(string) string{one, many}
	var held [][2]glassq.Token
	verb := func(name string) (what string) {
		switch name {
		case "put":
			t := glassq.Task{Queue: "q", Run: fmt.Sprint("r", rng.IntN(2)), Dense: true, Position: rng.Uint32N(60),
				Priority: glassq.Level(4 + rng.IntN(2)), Attempts: 1 + rng.IntN(2),
				Range: &glassq.Range{Count: 1 + rng.Uint64N(20)}}
			if rng.IntN(3) == 0 {
				t.Delay = time.Duration(rng.IntN(9))*time.Second + 750*time.Millisecond
			}
			if rng.IntN(3) == 0 {
				t.TTL = time.Duration(rng.IntN(20))*time.Second + 250*time.Millisecond
			}
			batch := []glassq.Task{}
			for i := range t.Range.Count {
				x := t
				x.Queue, x.Run, x.Range, x.Position = one(t.Queue), one(t.Run), nil, t.Position+uint32(i)
				x.Body = fmt.Appendf(nil, "body %03d", x.Position)
				batch = append(batch, x)
			}
			t.Queue, t.Run, t.Body = many(t.Queue), many(t.Run), []byte("body {0:03}")
			stored := uint64(0)
			receipts, err := w.store().Put(w.Context(), batch)
			for _, r := range receipts {
				if !r.Duplicate {
					stored++
				}
			}
			receipts, err2 := w.store().Put(w.Context(), []glassq.Task{t})
			if glassq.CodeOf(err) != glassq.CodeOf(err2) {
				w.Errorf("Put = %v one by one, %v as a range", err, err2)
			} else if err == nil && (receipts[0].Put != stored || receipts[0].Duplicate != (stored == 0)) {
				w.Errorf("receipt of a range = %+v; want %d stored", receipts[0], stored)
			}
		case "reserve":
			k := 1 + rng.IntN(4)
			const lease = 7*time.Second + 500*time.Millisecond
			a, b := w.reserveFor(one("q"), k, lease), w.reserveFor(many("q"), k, lease)
			for i := range min(len(a), len(b)) {
				held = append(held, [2]glassq.Token{a[i].Token(), b[i].Token()})
			}
			return fmt.Sprint(len(a), len(b))
		case "ack", "nack":
			if len(held) == 0 {
				return
			}
			i := rng.IntN(len(held))
			x := held[i]
			held = slices.Delete(held, i, i+1)
			how, kind := glassq.Outcome(rng.IntN(2)), rng.IntN(4)
			for _, token := range x {
				var err error
				if name == "ack" {
					err = w.tryAck(glassq.Ack{Token: token, Outcome: how, Result: &glassq.Task{Body: []byte("x")}})[0]
				} else {
					n := []glassq.Nack{{Undone: true}, {Dead: true, Reason: "why"}, {Delay: glassq.AtOnce},
						{Delay: 2*time.Second + 750*time.Millisecond}}[kind]
					n.Token = token
					err = w.tryNack(n)
				}
				what += fmt.Sprint(glassq.CodeOf(err), " ")
			}
		case "sleep":
			w.put(glassq.Task{Queue: "barrier"})
			time.Sleep(time.Duration(1+rng.IntN(4)) * time.Second)
		case "purge", "bury", "redrive", "cancel":
			run := fmt.Sprint("r", rng.IntN(2))
			for _, is := range both {
				var n int
				var err error
				switch name {
				case "purge":
					n, err = w.store().Purge(w.Context(), is("q"))
				case "bury":
					n, err = w.store().Purge(w.Context(), is("q"), glassq.Dead)
				case "redrive":
					n, err = w.store().Redrive(w.Context(), is("q"), 3)
				default:
					n, err = w.store().CancelRun(w.Context(), is(run))
				}
				what += fmt.Sprint(n, glassq.CodeOf(err), " ")
			}
		}
		return what
	}
	shows := func(is func(string) string) string {
		var b strings.Builder
		q := w.queue(is("q"))
		q.Name, q.Bytes = "", 0
		fmt.Fprintf(&b, "%+v\n", q)
		for _, in := range []glassq.State{glassq.Delayed, glassq.Ready, glassq.Leased, glassq.Dead} {
			tasks, _, err := w.store().Peek(w.Context(), is("q"), in, 0, 1000)
			for _, p := range tasks {
				fmt.Fprintf(&b, "%v %d %s try %d %q due %v age %v; ", in, p.Position, p.Body, p.Attempt, p.Reason, p.Due, p.Age)
			}
			fmt.Fprintln(&b, glassq.CodeOf(err))
		}
		for _, run := range []string{"r0", "r1"} {
			r, err := w.store().Run(w.Context(), is(run))
			fmt.Fprintf(&b, "%+v %d %v %v %v\n", r.Books, r.Pending, r.Sealed, r.Complete, glassq.CodeOf(err))
			for _, set := range []glassq.IDSet{glassq.IDsPut, glassq.IDsDone, glassq.IDsFailed, glassq.IDsDead} {
				ids, _ := w.store().RunIDs(w.Context(), is(run), set, 0, 1000)
				fmt.Fprintln(&b, set, ids)
			}
		}
		return b.String()
	}
	verbs := strings.Fields("put put put reserve reserve reserve reserve ack ack ack nack nack sleep sleep purge bury redrive cancel")
	for step := range 150 {
		name := verbs[rng.IntN(len(verbs))]
		if name == "cancel" && step < 140 || name == "purge" && step%3 > 0 { // they end too much to go on with
			name = "sleep"
		}
		what := verb(name)
		if step == 75 {
			w.put(glassq.Task{Queue: "barrier"})
			end()
			name += " and the end"
		}
		if a, b := shows(one), shows(many); a != b {
			w.Fatalf("seed %d, step %d: after %s (%s), one by one and as ranges:\n%s\n%s", seed, step, name, what, a, b)
		}
	}
}
