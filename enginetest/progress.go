package enginetest

import (
	"bytes"
	"slices"
	"strings"
	"time"

	"github.com/glassq/glassq"
)

// What workers say of a task on the way: a checkpoint answered OK is what the next worker sees.
func progressLaws() []law {
	return slices.Concat([]law{
		{"what a worker said of a task goes with its next hand-out", saidGoesOn},
		{"a worker whose lease is lost overwrites nothing", lostSaysNothing},
		{"saying again changes nothing, and out of turn is refused", saidAgain},
		{"partial results are put with what is said, or neither is", partials},
		{"a checkpoint counts in max_bytes, and one without room leaves the one before", checkpointRoom},
		{"how far tasks are is told of their queue and their run", going},
	}, perEnd("a checkpoint answered OK is what the next worker sees", checkpointSurvives),
		perEnd("a checkpoint outlives the segments it lay in", checkpointMoves))
}

// say says something under a lease, which must be OK.
func (w *world) say(l *glassq.Lease, seq uint64, p *glassq.Progress, put ...glassq.Task) {
	w.Helper()
	if err := w.trySay(l, seq, p, put...); err != nil {
		w.Fatalf("Extend with seq %d, lease %d: %v; want nil", seq, l.Number, err)
	}
}

func (w *world) trySay(l *glassq.Lease, seq uint64, p *glassq.Progress, put ...glassq.Task) error {
	w.Helper()
	errs, err := w.store().Extend(w.Context(), []glassq.Extend{{Token: l.Token(), Lease: leaseTime, Seq: seq, Progress: p,
		Put: put}})
	if err != nil || len(errs) != 1 {
		w.Fatalf("Extend = %d answers, %v; want 1, nil", len(errs), err)
	}
	return errs[0]
}

// checkpoint says nothing but a checkpoint.
func checkpoint(c string) *glassq.Progress { return &glassq.Progress{Done: -1, Checkpoint: []byte(c)} }

// said checks what a lease says of the workers before.
func (w *world) said(l *glassq.Lease, done float64, note, checkpoint string) {
	w.Helper()
	p := l.Progress
	if p == nil || p.Done != done || p.Note != note || string(p.Checkpoint) != checkpoint || p.Size != len(checkpoint) {
		w.Fatalf("lease %d of %s says %+v; want %v done, note %q, checkpoint %.40q", l.Number, l.Body, p, done, note, checkpoint)
	}
}

func saidGoesOn(w *world) {
	w.put(tasks("q", "a", "b")...)
	ls := w.want("q", "a", "b")
	if ls[0].Progress != nil {
		w.Fatalf("the first hand-out says %+v; want nothing", ls[0].Progress)
	}
	w.say(&ls[0], 1, &glassq.Progress{Done: 0.4, Note: "page 40"})
	w.say(&ls[0], 2, checkpoint("at 40"))
	w.say(&ls[0], 3, &glassq.Progress{Done: 0.5})
	w.nack(glassq.Nack{Token: ls[0].Token(), Undone: true})
	again := w.one("q")
	w.said(again, 0.5, "page 40", "at 40")
	w.say(again, 1, &glassq.Progress{Done: 1, Note: "nearly", Checkpoint: []byte{}})
	w.nack(glassq.Nack{Token: again.Token(), Dead: true, Reason: "enough"})
	if p := w.peek("q", glassq.Dead)[0].Progress; p == nil || p.Done != 1 || p.Note != "nearly" || p.Size != 0 {
		w.Fatalf("a dead task is shown with %+v; want 1 done, note nearly, no checkpoint", p)
	}
	if _, err := w.store().Redrive(w.Context(), "q", 0); err != nil {
		w.Fatalf("Redrive = %v", err)
	}
	w.said(w.one("q"), 1, "nearly", "")
	w.nack(glassq.Nack{Token: ls[1].Token(), Undone: true})
	if l := w.one("q"); l.Progress != nil {
		w.Fatalf("of task %s nobody said anything, and it says %+v", l.Body, l.Progress)
	}
}

func lostSaysNothing(w *world) {
	w.put(tasks("q", "a")...)
	slow := w.one("q")
	w.say(slow, 1, checkpoint("slow 1"))
	time.Sleep(2 * leaseTime)
	next := w.one("q")
	w.said(next, -1, "", "slow 1")
	w.code("Extend of a lost lease", w.trySay(slow, 2, checkpoint("slow 2"), tasks("p", "late")...), glassq.CodeLeaseLost)
	w.code("Extend of a lost lease, again", w.trySay(slow, 1, checkpoint("slow 1")), glassq.CodeLeaseLost)
	w.say(next, 1, checkpoint("next 1"))
	w.code("Extend of a lost lease", w.trySay(slow, 2, checkpoint("slow 2")), glassq.CodeLeaseLost)
	w.nack(glassq.Nack{Token: next.Token(), Undone: true})
	l := w.one("q")
	w.said(l, -1, "", "next 1")
	w.held("p", 0, 0, 0, 0)
	w.ack(glassq.Ack{Token: l.Token()})
	w.code("Extend after the ack", w.trySay(l, 1, checkpoint("over")), glassq.CodeLeaseLost)
}

func saidAgain(w *world) {
	w.put(tasks("q", "a")...)
	l := w.one("q")
	w.say(l, 1, checkpoint("1"), tasks("p", "one")...)
	w.say(l, 2, checkpoint("2"), tasks("p", "two")...)
	time.Sleep(leaseTime / 2)
	w.say(l, 2, checkpoint("2"), tasks("p", "two")...)
	w.say(l, 1, checkpoint("1"), tasks("p", "one")...)
	w.code("Extend with seq 4 after 2", w.trySay(l, 4, checkpoint("4"), tasks("p", "four")...), glassq.CodeBadRequest)
	w.want("p", "one", "two")
	time.Sleep(leaseTime/2 + time.Second) // what changed nothing extended nothing
	next := w.one("q")
	w.said(next, -1, "", "2")
	w.say(next, 1, nil)
	errs, err := w.store().Extend(w.Context(), []glassq.Extend{
		{Token: next.Token(), Seq: 2, Put: tasks("p", "three")},
		{Token: next.Token(), Seq: 2, Put: tasks("p", "three")},
		{Token: next.Token(), Seq: 3, Progress: checkpoint("3")},
	})
	if err != nil || slices.ContainsFunc(errs, func(err error) bool { return err != nil }) {
		w.Fatalf("Extend of 3 in one call = %v, %v; want nil", errs, err)
	}
	w.want("p", "three")
	w.nack(glassq.Nack{Token: next.Token(), Undone: true})
	w.said(w.one("q"), -1, "", "3")
}

func partials(w *world) {
	w.put(dense("q", "r", 1)...)
	w.limit("p", 2)
	l := w.one("q")
	w.say(l, 1, &glassq.Progress{Done: 0.1}, tasks("p", "a", "b")...)
	w.code("Extend without room for its partial result", w.trySay(l, 2, &glassq.Progress{Done: 0.2}, tasks("p", "c")...),
		glassq.CodeQueueFull)
	got := w.want("p", "a", "b")
	if got[0].Run != "r" || got[0].OfAttempt != 0 {
		w.Errorf("a partial result is of run %q, attempt %d; want r as a follow-up, 0", got[0].Run, got[0].OfAttempt)
	}
	w.ack(acksOf(got)...)
	w.runBooks("r", glassq.Books{Put: 3, OK: 2})
	other := tasks("p", "c")
	other[0].Run, other[0].ID = "s", "once"
	w.say(l, 2, nil, append(other, other...)...)
	w.runBooks("s", glassq.Books{Put: 1})
	w.nack(glassq.Nack{Token: l.Token(), Undone: true})
	w.said(w.one("q"), 0.1, "", "")
	w.none(glassq.DefaultResults)
}

func checkpointRoom(w *world) {
	most := int64(1000)
	w.configure("q", glassq.SettingsChange{MaxBytes: &most})
	w.put(tasks("q", "a")...)
	l := w.one("q")
	w.say(l, 1, checkpoint(strings.Repeat("x", 900)))
	if b := w.queue("q").Bytes; b != 901 {
		w.Errorf("the queue has %d bytes; want 1 and the 900 of the checkpoint", b)
	}
	w.code("Extend beyond max_bytes", w.trySay(l, 2, checkpoint(strings.Repeat("x", 1000))), glassq.CodeQueueFull)
	w.code("Extend with a partial result beyond max_bytes", w.trySay(l, 2, &glassq.Progress{Note: "note"},
		glassq.Task{Queue: "q", Body: make([]byte, 98)}), glassq.CodeQueueFull)
	_, err := w.store().Put(w.Context(), []glassq.Task{{Queue: "q", Body: make([]byte, 100)}})
	w.code("Put beyond max_bytes", err, glassq.CodeQueueFull)
	w.say(l, 2, checkpoint("small"))
	w.put(glassq.Task{Queue: "q", Body: make([]byte, 994)})
	w.say(l, 3, checkpoint("again"))
	w.ack(glassq.Ack{Token: l.Token()})
	if b := w.queue("q").Bytes; b != 994 {
		w.Errorf("after the ack the queue has %d bytes; want 994", b)
	}
}

func going(w *world) {
	w.put(dense("q", "r", 3)...)
	ls := w.want("q", "0", "1", "2")
	w.say(&ls[0], 1, &glassq.Progress{Done: 0.25})
	w.say(&ls[1], 1, &glassq.Progress{Done: 0.75})
	w.say(&ls[2], 1, checkpoint("x"))
	want := func(g glassq.Going) {
		w.Helper()
		if q, r := w.queue("q").Progress, w.run("r").Progress; q != g || r != g {
			w.Fatalf("the queue tells %+v, the run %+v; want %+v", q, r, g)
		}
	}
	want(glassq.Going{Tasks: 2, Done: 0.5})
	w.nack(glassq.Nack{Token: ls[0].Token(), Dead: true})
	want(glassq.Going{Tasks: 1, Done: 0.75})
	w.sys.Restart(w.T)
	want(glassq.Going{Tasks: 1, Done: 0.75})
	w.ack(glassq.Ack{Token: ls[1].Token()})
	want(glassq.Going{})
	if _, err := w.store().Redrive(w.Context(), "q", 0); err != nil {
		w.Fatalf("Redrive = %v", err)
	}
	want(glassq.Going{Tasks: 1, Done: 0.25})
}

func checkpointSurvives(w *world, end func()) {
	w.put(tasks("q", "a", "b")...)
	ls := w.want("q", "a", "b")
	big := strings.Repeat("checkpoint ", glassq.MaxCheckpoint/11)
	for seq := range uint64(5) {
		w.say(&ls[0], seq+1, &glassq.Progress{Done: float64(seq) / 8, Note: "note", Checkpoint: []byte(big[seq:])},
			tasks("p", "partial")...)
	}
	w.say(&ls[1], 1, checkpoint("b"))
	end()
	w.say(&ls[0], 5, nil) // the lease is durable with what was said under it, and so is its number
	if got := w.reserve("p", 10); len(got) != 5 {
		w.Fatalf("%d partial results are there; want 5", len(got))
	}
	end()
	time.Sleep(2 * leaseTime)
	again := w.want("q", "a", "b")
	w.said(&again[0], 0.5, "note", big[4:])
	w.said(&again[1], -1, "", "b")
}

// checkpointMoves has the log grow around a few checkpoints until what lay before them is freed.
func checkpointMoves(w *world, end func()) {
	w.put(tasks("keep", numbered(20)...)...)
	ls := w.reserveFor("keep", 20, glassq.MaxLease)
	body := bytes.Repeat([]byte("x"), 10_000)
	for i := range ls {
		errs, err := w.store().Extend(w.Context(), []glassq.Extend{{Token: ls[i].Token(), Seq: 1,
			Progress: checkpoint("of " + string(ls[i].Body))}})
		if err != nil || errs[0] != nil {
			w.Fatalf("Extend = %v, %v", errs, err)
		}
		for range 20 {
			w.put(glassq.Task{Queue: "go", Body: body})
			w.ack(glassq.Ack{Token: w.one("go").Token()})
		}
		time.Sleep(time.Second)
	}
	end()
	for i := range ls {
		w.nack(glassq.Nack{Token: ls[i].Token(), Undone: true})
	}
	for _, l := range w.reserve("keep", 20) {
		w.said(&l, -1, "", "of "+string(l.Body))
	}
}
