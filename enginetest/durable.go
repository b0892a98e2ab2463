package enginetest

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/glassq/glassq"
)

// P1: what was answered OK survives. P3: what was acked never comes back.
func durableLaws() []law {
	return slices.Concat(
		perEnd("P1 a put survives with everything in it", putSurvives),
		perEnd("P1 an ack survives with its result and follow-ups", ackSurvives),
		perEnd("P1 settings, runs, nacks and dead tasks survive", settingsSurvive),
		perEnd("P1 a put answered while the engine ends survives", putUnderWay),
		perEnd("P3 an acked task is never delivered again", ackedStaysGone),
	)
}

func putSurvives(w *world, end func()) {
	full := glassq.Task{
		Queue: "q", Body: []byte{0, 255, '\n', 7}, Type: glassq.TypeJSON, ID: "an id", Run: "r",
		Priority: glassq.Level(9), Attempts: 7, Lease: 5 * time.Second, ResultQueue: "elsewhere", Key: "host",
		Flags: 77, Headers: map[string]string{"traceparent": "00-1"}, Extra: []byte(`{"x":1}`),
	}
	positions := dense("q", "r", 3)
	plain := tasks("q", "a", "", strings.Repeat("b", 100_000))
	receipts := w.put(append(append([]glassq.Task{full}, positions...), plain...)...)
	end()
	got := w.reserve("q", 100)
	if len(got) != 7 {
		w.Fatalf("after the end, Reserve = %d leases; want 7", len(got))
	}
	g := got[0].Task
	if !bytes.Equal(g.Body, full.Body) || g.Type != full.Type || g.ID != full.ID || g.Run != full.Run || g.Dense ||
		g.Priority.Level() != 9 || g.Attempts != 7 || g.Lease != full.Lease || g.ResultQueue != full.ResultQueue ||
		g.Key != full.Key || g.Flags != full.Flags || !maps.Equal(g.Headers, full.Headers) ||
		!bytes.Equal(g.Extra, full.Extra) {
		w.Errorf("task came back as %+v; want %+v", g, full)
	}
	for i, l := range got[1:4] {
		if l.Run != "r" || !l.Dense || l.Position != uint32(i) || l.TaskID() != glassq.DenseID("r", uint32(i)) {
			w.Errorf("position %d came back as run %q, n %d, dense %v, id %q", i, l.Run, l.Position, l.Dense, l.TaskID())
		}
	}
	for i, l := range got[4:] {
		if !bytes.Equal(l.Body, plain[i].Body) {
			w.Errorf("body %d came back as %d bytes; want the %d that were put", i, len(l.Body), len(plain[i].Body))
		}
		if want := glassq.AssignedID(receipts[4+i].Number); l.TaskID() != want {
			w.Errorf("id of task %d = %q; want %q from its receipt", i, l.TaskID(), want)
		}
	}
	w.books("q", glassq.Books{Put: 7})
	w.runBooks("r", glassq.Books{Put: 4})
}

func ackSurvives(w *world, end func()) {
	w.put(dense("q", "r", 4)...)
	ls := w.reserve("q", 4)
	for i, l := range ls[:3] {
		a := withResult(&l, glassq.Outcome(i%2), "result "+string(l.Body))
		a.Put = tasks("next", "after "+string(l.Body))
		w.ack(a)
	}
	end()
	w.want("next", "after 0", "after 1", "after 2")
	w.want("results", "result 0", "result 1", "result 2")
	w.books("q", glassq.Books{Put: 4, OK: 2, Failed: 1})
	w.runBooks("r", glassq.Books{Put: 7, OK: 2, Failed: 1})
	w.ids("r", glassq.IDsDone, glassq.Interval{First: 0, Last: 2})
	w.ids("r", glassq.IDsFailed, glassq.Interval{First: 1, Last: 1})
	time.Sleep(2 * leaseTime)
	w.want("q", "3")
}

func settingsSurvive(w *world, end func()) {
	paused, rate, most := true, 12.5, int64(77)
	w.configure("set", glassq.SettingsChange{Paused: &paused, Rate: &rate, MaxTasks: &most})
	w.setRun("r", glassq.RunChange{Source: "src", Queue: "q", Results: "res"})
	w.setRun("r", glassq.RunChange{Sealed: true, Total: 9})
	w.put(tasks("q", "dead", "later")...)
	l := w.one("q")
	w.nack(glassq.Nack{Token: l.Token(), Dead: true, Reason: "no such host"})
	w.nack(glassq.Nack{Token: w.one("q").Token(), Delay: time.Hour})
	end()
	if s := w.queue("set").Settings; !s.Paused || s.Rate != 12.5 || s.MaxTasks != 77 {
		w.Errorf("settings after the end = %+v; want those that were set", s)
	}
	if r := w.run("r"); r.Source != "src" || r.Queue != "q" || r.Results != "res" || !r.Sealed || r.Total != 9 {
		w.Errorf("run after the end = %+v; want what was set", r)
	}
	w.held("q", 1, 0, 0, 1)
	dead := w.peek("q", glassq.Dead)
	if len(dead) != 1 || string(dead[0].Body) != "dead" || dead[0].Reason != "no such host" {
		w.Errorf("dead tasks after the end = %+v; want the one, with its reason", dead)
	}
	w.none("q")
	time.Sleep(time.Hour)
	w.want("q", "later")
}

// putUnderWay ends the engine while eight callers put: every put answered OK is there once, and
// nothing is there twice or in half.
func putUnderWay(w *world, end func()) {
	const callers, before = 8, 40
	var mu sync.Mutex
	answered := map[string]bool{}
	enough := make(chan struct{})
	var wg sync.WaitGroup
	s := w.store()
	for c := range callers {
		wg.Go(func() {
			for i := 0; ; i++ {
				pair := tasks("q", fmt.Sprintf("%d-%d-a", c, i), fmt.Sprintf("%d-%d-b", c, i))
				if _, err := s.Put(w.Context(), pair); err != nil {
					return
				}
				mu.Lock()
				answered[string(pair[0].Body)], answered[string(pair[1].Body)] = true, true
				if len(answered) == before*2 {
					close(enough)
				}
				mu.Unlock()
			}
		})
	}
	<-enough
	end()
	wg.Wait()
	found := map[string]int{}
	for _, l := range w.drain("q") {
		found[string(l.Body)]++
	}
	for body := range answered {
		if found[body] != 1 {
			w.Errorf("task %s was answered OK and is there %d times; want once", body, found[body])
		}
	}
	for body, n := range found {
		other := strings.TrimRight(body, "ab") + string('a'+'b'-body[len(body)-1])
		if n != 1 || found[other] != 1 {
			w.Errorf("task %s is there %d times, the other of its put %d times; want 1 and 1", body, n, found[other])
		}
	}
}

func ackedStaysGone(w *world, end func()) {
	w.put(tasks("q", numbered(30)...)...)
	ls := w.reserve("q", 20)
	w.ack(acksOf(ls[:10])...)
	end()
	for _, l := range w.drain("q") {
		if slices.Contains(bodiesOf(ls[:10]), string(l.Body)) {
			w.Errorf("task %s was acked and came back as attempt %d", l.Body, l.Attempt)
		}
	}
	w.books("q", glassq.Books{Put: 30, OK: 30})
	end()
	time.Sleep(24 * time.Hour)
	w.none("q")
	_, _, err := w.store().Peek(w.Context(), "q", glassq.Dead, 0, 10)
	if err != nil && !errors.Is(err, glassq.ErrNotFound) {
		w.Errorf("Peek after everything was acked = %v", err)
	}
	w.held("q", 0, 0, 0, 0)
}
