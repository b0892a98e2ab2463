package enginetest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/glassq/glassq"
)

// P5: strict priorities; within one, first deliveries follow the puts.
func orderLaws() []law {
	return slices.Concat([]law{
		{"P5 priorities are strict", priorities},
		{"P5 the order of many callers' puts is that of their receipts", callersOrder},
		{"P5 a task that comes back comes to its old place", oldPlace},
		{"P5 a delayed task comes when it is due", delayedDue},
		{"P5 order is per queue", orderPerQueue},
	}, perEnd("P5 first deliveries follow the puts", fifo))
}

func priorities(w *world) {
	rng := rand.New(rand.NewPCG(5, 5))
	var want [10][]string
	for batch := range 20 {
		var ts []glassq.Task
		for i := range 1 + rng.IntN(10) {
			level := rng.IntN(10)
			t := glassq.Task{Queue: "q", Body: fmt.Appendf(nil, "%d/%d/%d", level, batch, i), Priority: glassq.Level(level)}
			if level == 4 && i%2 == 0 {
				t.Priority = 0 // not said: level 4
			}
			ts = append(ts, t)
			want[level] = append(want[level], string(t.Body))
		}
		w.put(ts...)
	}
	slices.Reverse(want[:])
	all := slices.Concat(want[:]...)
	for len(all) > 5 {
		n := 1 + rng.IntN(5)
		if got := bodiesOf(w.reserve("q", n)); !slices.Equal(got, all[:n]) {
			w.Fatalf("Reserve(%d) = %q; want %q", n, got, all[:n])
		}
		all = all[n:]
	}
	// A task of a higher level that is put now goes first.
	w.put(glassq.Task{Queue: "q", Body: []byte("urgent"), Priority: glassq.Level(9)})
	w.want("q", append([]string{"urgent"}, all...)...)
}

func callersOrder(w *world) {
	const callers, each = 8, 50
	var mu sync.Mutex
	number := map[string]uint64{}
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			for i := range each {
				ts := tasks("q", fmt.Sprintf("%d %d.0", c, i), fmt.Sprintf("%d %d.1", c, i))
				r, err := w.store().Put(w.Context(), ts)
				if err != nil {
					w.Errorf("Put = %v", err)
					return
				}
				mu.Lock()
				number[string(ts[0].Body)], number[string(ts[1].Body)] = r[0].Number, r[1].Number
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	last := uint64(0)
	next := map[string]int{}
	got := w.reserve("q", 1000)
	for _, l := range got {
		body := string(l.Body)
		if number[body] <= last {
			w.Fatalf("task %s with receipt %d came after %d", body, number[body], last)
		}
		last = number[body]
		caller, rest, _ := strings.Cut(body, " ")
		if want := fmt.Sprintf("%d.%d", next[caller]/2, next[caller]%2); rest != want {
			w.Fatalf("task %s of caller %s came; want its %s", rest, caller, want)
		}
		next[caller]++
	}
	if len(got) != callers*each*2 {
		w.Errorf("%d tasks came; want %d", len(got), callers*each*2)
	}
}

func oldPlace(w *world) {
	w.put(tasks("q", "a", "b", "c", "d")...)
	ls := w.want("q", "a", "b", "c", "d")
	// b comes back by a nack, d by undone, a by its expiry; c stays out.
	w.ok("Extend c", w.tryExtend(ls[2].Token(), time.Hour))
	w.nack(glassq.Nack{Token: ls[3].Token(), Undone: true})
	w.nack(glassq.Nack{Token: ls[1].Token(), Delay: glassq.AtOnce})
	w.put(tasks("q", "e")...)
	time.Sleep(leaseTime + time.Second)
	w.want("q", "a", "b", "d", "e")
}

func delayedDue(w *world) {
	ts := tasks("q", "in 20s", "in 10s", "now")
	ts[0].Delay, ts[1].Delay = 20*time.Second, 10*time.Second
	w.put(ts...)
	w.held("q", 2, 1, 0, 0)
	w.want("q", "now")
	time.Sleep(9990 * time.Millisecond)
	w.none("q")
	time.Sleep(20 * time.Millisecond)
	w.want("q", "in 10s")
	a := w.ask(glassq.Reserve{Queue: "q", Max: 5, Wait: -1, Lease: leaseTime})
	<-a.done
	if a.err != nil || len(a.leases) != 1 || string(a.leases[0].Body) != "in 20s" {
		w.Fatalf("waiting Reserve = %q, %v; want the task that became due", bodiesOf(a.leases), a.err)
	}
	if a.took < 9*time.Second || a.took > 11*time.Second {
		w.Errorf("the delayed task came after %v more; want 10s", a.took)
	}
}

func orderPerQueue(w *world) {
	a, b := tasks("a", numbered(20)...), tasks("b", numbered(20)...)
	var mixed []glassq.Task
	for i := range a {
		mixed = append(mixed, a[i], b[i])
	}
	w.put(mixed...)
	w.want("b", numbered(20)...)
	w.want("a", numbered(20)...)
}

func fifo(w *world, end func()) {
	all := numbered(60)
	for i := 0; i < 60; i += 10 {
		w.put(tasks("q", all[i:i+5]...)...)
		w.put(tasks("q", all[i+5:i+10]...)...)
		if i%20 == 10 {
			end()
		}
	}
	for len(all) > 0 {
		ls := w.reserve("q", 4)
		if got := bodiesOf(ls); !slices.Equal(got, all[:4]) {
			w.Fatalf("Reserve(4) = %q; want %q", got, all[:4])
		}
		w.ack(acksOf(ls)...)
		all = all[4:]
		if len(all)%16 == 0 {
			end()
		}
	}
}
