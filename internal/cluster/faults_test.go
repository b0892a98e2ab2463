package cluster_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/cluster"
	"github.com/glassq/glassq/internal/cluster/clustertest"
)

// A judge hears what producers and workers were told, and finds what must not be.
type judge struct {
	t        *testing.T
	mu       sync.Mutex
	put      map[string]bool      // told OK
	acked    map[string]uint64    // by which lease
	numbers  map[uint64]string    // of which task
	until    map[string]time.Time // the live lease of a task, as far as told
	live     map[string]uint64    // its number
	unknown  int
	handouts int
}

func (j *judge) handed(l *glassq.Lease, sent time.Time) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.handouts++
	if of, ok := j.numbers[l.Number]; ok {
		j.t.Errorf("lease number %d of task %s was used for %s before", l.Number, l.ID, of)
	}
	j.numbers[l.Number] = l.ID
	if by, ok := j.acked[l.ID]; ok {
		j.t.Errorf("task %s is handed out again as %d, and its ack by %d was answered OK", l.ID, l.Number, by)
	}
	if !l.Deadline.After(sent) {
		return // it was over before it was told, and its worker knows: it overlaps nothing
	}
	if u, ok := j.until[l.ID]; ok && sent.Before(u) {
		j.t.Errorf("task %s is handed out as %d, attempt %d, at %v, and has lease %d until %v", l.ID, l.Number, l.Attempt,
			sent, j.live[l.ID], u)
	}
	j.until[l.ID], j.live[l.ID] = l.Deadline, l.Number
}

func (j *judge) done(l *glassq.Lease) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if by, ok := j.acked[l.ID]; ok && by != l.Number {
		j.t.Errorf("task %s is acked OK by %d and by %d", l.ID, by, l.Number)
	}
	j.acked[l.ID] = l.Number
	delete(j.until, l.ID)
}

var faultSeeds = flag.Uint64("seeds", 6, "worlds of TestFaults")

// TestFaults: messages, answers and reads go wrong by chance, owners die, are cut off and robbed,
// and the machines elect, while producers and workers go on. Nothing is lost, done twice or handed
// out twice.
func TestFaults(t *testing.T) {
	seeds := *faultSeeds
	if testing.Short() {
		seeds = min(seeds, 3)
	}
	for seed := range seeds {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { faults(t, seed) })
		})
	}
}

func faults(t *testing.T, seed uint64) {
	world := clustertest.New(clustertest.Options{Seed: seed, Delay: 2 * time.Millisecond, Hop: time.Millisecond,
		Faults: clustertest.Faults{Lost: 0.01, Unanswered: 0.01, Late: 0.01, Refused: 0.01, Stale: 0.1, Skipped: 0.005,
			Rotten: 0.005, ReadFails: 0.01}})
	rng := rand.New(rand.NewPCG(seed, 3))
	opt := often(t)
	opt.Beat = 0
	opt.Logger = nil
	var mu sync.Mutex // gateways
	gateways, members := make([]*cluster.Store, 3), make([]*clustertest.Member, 3)
	join := func(i int) {
		m := world.Join()
		g, err := cluster.Open(t.Context(), m.Ground(), opt)
		if err != nil {
			t.Error(err)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		gateways[i], members[i] = g, m
	}
	for i := range gateways {
		join(i)
	}
	anyOf := func(r *rand.Rand) *cluster.Store {
		mu.Lock()
		defer mu.Unlock()
		return gateways[r.IntN(len(gateways))]
	}
	j := &judge{t: t, put: map[string]bool{}, acked: map[string]uint64{}, numbers: map[uint64]string{},
		until: map[string]time.Time{}, live: map[string]uint64{}}
	ctx, cancel := context.WithCancel(t.Context())
	var clients sync.WaitGroup
	for p := range 2 {
		r := rand.New(rand.NewPCG(seed, uint64(10+p)))
		clients.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				id := fmt.Sprintf("%d-%d", p, n)
				for ctx.Err() == nil { // until it is told
					if _, err := anyOf(r).Put(ctx, []glassq.Task{{Queue: "q", ID: id, Body: []byte(id)}}); err == nil {
						j.mu.Lock()
						j.put[id] = true
						j.mu.Unlock()
						break
					}
					time.Sleep(100 * time.Millisecond)
				}
				time.Sleep(time.Duration(r.IntN(200)) * time.Millisecond)
			}
		})
	}
	work := func(ctx context.Context, r *rand.Rand) (some bool) {
		g := anyOf(r)
		ls, err := g.Reserve(ctx, glassq.Reserve{Queue: "q", Max: 3, Wait: 5 * time.Second, Lease: 4 * time.Second})
		if err != nil {
			time.Sleep(100 * time.Millisecond)
			return ctx.Err() == nil && g.Failure() == nil // else it is said at the end
		}
		for i := range ls {
			j.handed(&ls[i], time.Now())
		}
		for i := range ls {
			l := &ls[i]
			if r.IntN(10) == 0 {
				continue // it lapses
			}
			time.Sleep(time.Duration(r.IntN(500)) * time.Millisecond)
			ack := []glassq.Ack{{Token: l.Token(), Result: &glassq.Task{Body: l.Body}}}
			for range 3 {
				errs, err := anyOf(r).Ack(ctx, ack)
				if err == nil && errs[0] == nil {
					j.done(l)
				}
				if err == nil {
					break
				}
				j.mu.Lock()
				j.unknown++
				j.mu.Unlock()
			}
		}
		return len(ls) > 0
	}
	for k := range 3 {
		r := rand.New(rand.NewPCG(seed, uint64(20+k)))
		clients.Go(func() {
			for ctx.Err() == nil {
				work(ctx, r)
			}
		})
	}
	for range 12 {
		time.Sleep(time.Duration(rng.IntN(10_000)) * time.Millisecond)
		mu.Lock()
		i := rng.IntN(len(gateways))
		g, m := gateways[i], members[i]
		mu.Unlock()
		switch rng.IntN(6) {
		case 0:
			m.Kill()
			g.Abort()
			join(i)
		case 1:
			m.Cut(true, true, true)
			time.Sleep(time.Duration(rng.IntN(8000)) * time.Millisecond)
			m.Cut(false, false, false)
		case 2:
			m.Cut(true, false, false)
			time.Sleep(time.Duration(rng.IntN(8000)) * time.Millisecond)
			m.Cut(false, false, false)
		case 3:
			world.Elect(time.Duration(rng.IntN(6000)) * time.Millisecond)
		case 4:
			g.Close()
			join(i)
		case 5:
			g.Steal()
		}
	}
	world.SetFaults(clustertest.Faults{})
	time.Sleep(20 * time.Second)
	cancel()
	clients.Wait()
	time.Sleep(30 * time.Second) // leases and backoffs
	r := rand.New(rand.NewPCG(seed, 30))
	for work(t.Context(), r) {
	}
	time.Sleep(30 * time.Second)
	for range 5 {
		for work(t.Context(), r) {
		}
		time.Sleep(30 * time.Second)
	}
	results := drained(t, anyOf(r), glassq.DefaultResults)
	for id := range j.put {
		if results[id] == 0 {
			t.Errorf("task %s was put and never done", id)
		}
	}
	for id, n := range results {
		if n != 1 {
			t.Errorf("task %s has %d results", id, n)
		}
	}
	for id := range j.acked {
		if results[id] == 0 {
			t.Errorf("task %s was acked and has no result", id)
		}
	}
	t.Logf("%d puts, %d hand-outs, %d results, %d acks not known", len(j.put), j.handouts, len(results), j.unknown)
	for _, g := range gateways {
		if err := g.Failure(); err != nil {
			t.Errorf("a gateway has failed: %v", err)
		}
		g.Close()
	}
}
