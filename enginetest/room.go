package enginetest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"testing/synctest"
	"time"

	"github.com/glassq/glassq"
)

// Waiting for room in a full queue, and for the end of a queue: glassq.Waits.
func roomLaws() []law {
	return []law{
		{"puts that wait for room are served in order of arrival", putsInOrder},
		{"a put that waits for room in vain puts nothing", putInVain},
		{"a put that could never find room is refused at once", putTooLarge},
		{"room comes from an ack, a purge, an expiry, a higher limit, a drop", roomComes},
		{"puts that wait go on waiting in the queue that takes the place of a dropped one", roomAfterDrop},
		{"an ack waits for room for its result, and is whole", ackWaits},
		{"AwaitIdle ends when nothing is left to do", awaitsIdle},
		{"Close ends waits for room and for the end of a queue", closeEndsRoom},
	}
}

func (w *world) waits() glassq.Waits {
	w.Helper()
	return part[glassq.Waits](w)
}

func (w *world) limit(queue string, tasks int64) {
	w.Helper()
	w.configure(queue, glassq.SettingsChange{MaxTasks: &tasks})
}

// A call is a call under way; err may be read when done is closed.
type call struct {
	err  error
	took time.Duration
	done chan struct{}
}

func background(f func() error) *call {
	c := &call{done: make(chan struct{})}
	start := time.Now()
	go func() { // ends with the engine at the latest
		defer close(c.done)
		c.err = f()
		c.took = time.Since(start)
	}()
	synctest.Wait()
	return c
}

func (c *call) over() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

func (w *world) putWait(queue, body string, wait time.Duration) *call {
	s := w.waits()
	return background(func() error {
		_, err := s.PutWait(w.Context(), tasks(queue, body), wait)
		return err
	})
}

func putsInOrder(w *world) {
	w.limit("q", 2)
	w.put(tasks("q", "a", "b")...)
	var waiting []*call
	for i := range 5 {
		waiting = append(waiting, w.putWait("q", fmt.Sprint(i), -1))
	}
	for i := range waiting {
		w.ack(glassq.Ack{Token: w.one("q").Token()})
		synctest.Wait()
		for k, c := range waiting {
			if c.over() != (k <= i) {
				w.Fatalf("after ack %d, put %d over = %v", i, k, c.over())
			}
		}
		w.ok("PutWait", waiting[i].err)
		w.held("q", 0, 2, 0, 0)
	}
	w.want("q", "3", "4")
	w.books("q", glassq.Books{Put: 7, OK: 5})
}

func roomAfterDrop(w *world) {
	w.limit("q", 1)
	w.put(tasks("q", "a")...)
	var waiting []*call
	for i := range 5 {
		waiting = append(waiting, w.putWait("q", fmt.Sprint(i), -1))
	}
	drop := background(func() error { return w.store().Drop(w.Context(), "q") })
	one := int64(1)
	_, err := w.store().Configure(w.Context(), "q", glassq.SettingsChange{MaxTasks: &one})
	w.ok("Configure", err)
	<-drop.done
	w.ok("Drop", drop.err)
	for range waiting { // whichever came before the new limit
		for _, l := range w.reserve("q", 10) {
			w.ack(glassq.Ack{Token: l.Token()})
		}
	}
	for i, c := range waiting {
		<-c.done
		w.ok(fmt.Sprintf("PutWait %d", i), c.err)
	}
	w.drain("q")
	w.held("q", 0, 0, 0, 0)
}

func putInVain(w *world) {
	w.limit("q", 1)
	w.put(tasks("q", "a")...)
	s := w.waits()
	late := w.putWait("q", "b", 7*time.Second)
	ctx, cancel := context.WithCancel(w.Context())
	gone := background(func() error {
		_, err := s.PutWait(ctx, tasks("q", "c"), -1)
		return err
	})
	<-late.done
	w.code("PutWait whose time is up", late.err, glassq.CodeQueueFull)
	if late.took < 7*time.Second || late.took > 7100*time.Millisecond {
		w.Errorf("PutWait of 7s took %v", late.took)
	}
	cancel()
	if <-gone.done; !errors.Is(gone.err, context.Canceled) {
		w.Errorf("PutWait cancelled = %v; want the context's error", gone.err)
	}
	w.ack(glassq.Ack{Token: w.one("q").Token()})
	synctest.Wait()
	w.books("q", glassq.Books{Put: 1, OK: 1})
	w.ok("PutWait with room", w.putWait("q", "d", 0).err)
	w.want("q", "d")
}

func putTooLarge(w *world) {
	w.limit("q", 2)
	s := w.waits()
	c := background(func() error {
		_, err := s.PutWait(w.Context(), tasks("q", "a", "b", "c"), -1)
		return err
	})
	if !c.over() {
		w.Fatal("PutWait of 3 into a queue for 2 waits")
	}
	w.code("PutWait of 3 into a queue for 2", c.err, glassq.CodeQueueFull)
}

func roomComes(w *world) {
	w.limit("q", 1)
	old := glassq.Task{Queue: "q", Body: []byte("old"), TTL: time.Minute}
	for _, way := range []struct {
		name string
		do   func()
	}{
		{"ack", func() { w.ack(glassq.Ack{Token: w.one("q").Token()}) }},
		{"purge", func() { _, err := w.store().Purge(w.Context(), "q"); w.ok("Purge", err) }},
		{"expiry", func() { time.Sleep(2 * time.Minute) }},
		{"limit", func() { w.limit("q", 2); w.one("q") }},
		{"drop", func() { w.ok("Drop", w.store().Drop(w.Context(), "q")) }},
	} {
		if way.name == "drop" {
			w.drain("q")
			w.limit("q", 1)
		}
		w.put(old)
		c := w.putWait("q", way.name, -1)
		if c.over() {
			w.Fatalf("%s: PutWait into a full queue = %v at once", way.name, c.err)
		}
		way.do()
		synctest.Wait()
		if !c.over() || c.err != nil {
			w.Fatalf("%s: PutWait over %v, %v; want true, nil", way.name, c.over(), c.err)
		}
		w.ack(acksOf(w.want("q", way.name))...)
	}
}

func ackWaits(w *world) {
	w.limit("results", 1)
	w.put(tasks("q", "a", "b")...)
	s := w.waits()
	first, second := w.one("q"), w.one("q")
	w.ok("AckWait with room", s.AckWait(w.Context(), withResult(first, glassq.OK, "ra"), 0))
	c := background(func() error { return s.AckWait(w.Context(), withResult(second, glassq.OK, "rb"), -1) })
	w.books("q", glassq.Books{Put: 2, OK: 1})
	if c.over() {
		w.Fatalf("AckWait into full results = %v at once", c.err)
	}
	w.ack(acksOf(w.want("results", "ra"))...)
	synctest.Wait()
	if !c.over() || c.err != nil {
		w.Fatalf("AckWait over %v, %v; want true, nil", c.over(), c.err)
	}
	w.books("q", glassq.Books{Put: 2, OK: 2})
	w.ack(acksOf(w.want("results", "rb"))...)

	// A lease that ends meanwhile is told.
	w.put(tasks("q", "c")...)
	w.put(tasks("results", "x")...)
	third := w.one("q")
	c = background(func() error { return s.AckWait(w.Context(), withResult(third, glassq.OK, "rc"), -1) })
	time.Sleep(2 * leaseTime)
	again := w.one("q")
	w.ack(acksOf(w.want("results", "x"))...)
	synctest.Wait()
	if !c.over() {
		w.Fatal("AckWait of a lost lease waits though there is room")
	}
	w.code("AckWait of a lost lease", c.err, glassq.CodeLeaseLost)
	w.none("results")
	w.ack(glassq.Ack{Token: again.Token()})
}

func awaitsIdle(w *world) {
	s := w.waits()
	if idle, err := s.AwaitIdle(w.Context(), "never", -1); !idle || err != nil {
		w.Errorf("AwaitIdle of no queue = %v, %v; want true, nil", idle, err)
	}
	ts := tasks("q", "a", "b", "c")
	ts[2].Delay = time.Hour
	w.put(ts...)
	want := []glassq.Held{{}, {Ready: 2, Delayed: 1}}
	if h, err := s.Held(w.Context(), "never", "q"); err != nil || !reflect.DeepEqual(h, want) {
		w.Errorf("Held = %+v, %v; want %+v", h, err, want)
	}
	idle := false
	c := background(func() (err error) {
		idle, err = s.AwaitIdle(w.Context(), "q", -1)
		return err
	})
	short, err := s.AwaitIdle(w.Context(), "q", time.Second)
	if short || err != nil {
		w.Errorf("AwaitIdle in vain = %v, %v; want false, nil", short, err)
	}
	w.ack(glassq.Ack{Token: w.one("q").Token()})
	w.nack(glassq.Nack{Token: w.one("q").Token(), Dead: true})
	synctest.Wait()
	if c.over() {
		w.Fatal("AwaitIdle ended with a delayed task")
	}
	time.Sleep(2 * time.Hour)
	l := w.one("q")
	if c.over() {
		w.Fatal("AwaitIdle ended with a leased task")
	}
	w.ack(glassq.Ack{Token: l.Token()})
	synctest.Wait()
	if !c.over() || !idle || c.err != nil {
		w.Fatalf("AwaitIdle over %v, idle %v, %v; want true, true, nil", c.over(), idle, c.err)
	}
}

func closeEndsRoom(w *world) {
	w.limit("q", 1)
	w.put(tasks("q", "a")...)
	s := w.waits()
	put := w.putWait("q", "b", -1)
	idle := background(func() error { _, err := s.AwaitIdle(w.Context(), "q", -1); return err })
	w.ok("Close", w.store().Close())
	<-put.done
	<-idle.done
	w.code("PutWait on Close", put.err, glassq.CodeClosed)
	w.code("AwaitIdle on Close", idle.err, glassq.CodeClosed)
}
