package ladder

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/cluster"
	"github.com/glassq/glassq/internal/disk"
	"github.com/glassq/glassq/internal/wal/waltest"
)

var journeys = flag.Int("journeys", 40, "stores of TestJourney")

// TestJourney drives a store beside the model that goes by archives from a folder to several machines and back, twice:
// in the folder with restarts and archives of its own, on the machines with all that TestOwners does to them. After
// each step it must show what the model does.
func TestJourney(t *testing.T) {
	start := time.Now()
	var steps, moves int
	last := *seed
	for ; last < *seed+uint64(budget(*journeys)) && !t.Failed(); last++ {
		synctest.Test(t, func(t *testing.T) {
			j := &journey{t: t, ctx: t.Context(), rng: rand.New(rand.NewPCG(last, 31))}
			if err := j.live(last); err != nil {
				t.Errorf("-seed %d -journeys 1: %v\nlife: %q", last, err, j.log)
			}
			steps, moves = steps+j.steps, moves+j.moves
		})
	}
	stdout("rung=journeys journeys=%d steps=%d moves=%d seed=%d next_seed=%d seconds=%.0f failed=%v", last-*seed, steps, moves,
		*seed, last, time.Since(start).Seconds(), t.Failed())
}

// A journey is that of one store, and what it ought to hold.
type journey struct {
	t   *testing.T
	ctx context.Context
	rng *rand.Rand
	d   *driver
	due int64 // of the task of clockQueue
	log []string

	steps, moves int
}

func (j *journey) live(seed uint64) error {
	p := &play{fs: waltest.NewFS(), opt: disk.Options{SegmentSize: 8 << 10, CacheBytes: 1}, rng: j.rng}
	if err := p.open(); err != nil {
		return err
	}
	j.d = &driver{s: p.e, m: newModel(), rng: j.rng, prefix: "a"}
	if err := j.wind(); err != nil {
		return errors.Join(err, p.e.Close())
	}
	for range 2 {
		archive, err := j.inFolder(p)
		if err == nil {
			archive, err = j.onMachines(archive, seed)
		}
		if err == nil {
			p, err = j.unpack(archive)
		}
		if err != nil {
			return err
		}
	}
	_, err := j.inFolder(p)
	return err
}

// wind puts what tells the time of the log and the gaps in it, see crew.
func (j *journey) wind() error {
	j.d.m.advance(time.Now().UnixMilli())
	j.due = j.d.m.now + clockDelay.Milliseconds()
	if err := j.d.put(j.ctx, glassq.Task{Queue: clockQueue, Body: j.d.body(10)}); err != nil {
		return err
	}
	got, err := j.d.s.Reserve(j.ctx, glassq.Reserve{Queue: clockQueue, Max: 1, Lease: glassq.MaxLease})
	if err = j.d.handed(clockQueue, 1, glassq.MaxLease, false, got, err); err != nil {
		return err
	}
	return j.d.put(j.ctx, glassq.Task{Queue: clockQueue, Body: j.d.body(10), Delay: clockDelay})
}

// inFolder lives for a while in a folder, closes the store, and returns an archive of it.
func (j *journey) inFolder(p *play) (*bytes.Buffer, error) {
	p.d = j.d
	j.d.s, j.d.clock = p.e, func() int64 {
		ps, _, err := p.e.Peek(j.ctx, clockQueue, glassq.Delayed, 0, 1)
		if err != nil || len(ps) != 1 {
			j.t.Errorf("%d tasks tell the time, %v", len(ps), err)
			return j.d.m.now
		}
		now := j.due - ps[0].Due.Milliseconds()
		j.d.m.ahead = time.Now().UnixMilli() - now
		return now
	}
	synctest.Wait()
	err := errors.Join(p.same(j.ctx), j.hold())
	for i := 10 + j.rng.IntN(40); i > 0 && err == nil; i-- {
		name := both[j.rng.IntN(len(both))]
		if j.rng.IntN(20) == 0 {
			name = "archive"
		}
		j.steps++
		j.log = append(j.log, name)
		if err = p.step(j.ctx, name); err == nil {
			synctest.Wait()
			err = p.same(j.ctx)
		}
		if err != nil {
			err = fmt.Errorf("in the folder, %s: %w", name, err)
		}
	}
	var archive bytes.Buffer
	if err == nil {
		j.d.m.advance(j.d.now())
		err = p.e.Archive(j.ctx, &archive)
	}
	return &archive, errors.Join(err, p.e.Close())
}

// hold keeps the lease that tells the gaps.
func (j *journey) hold() error {
	at := slices.IndexFunc(j.d.m.tasks, func(t mtask) bool { return t.Queue == clockQueue && t.state == glassq.Leased })
	if at < 0 {
		return errors.New("the lease that tells the gaps is lost")
	}
	t := &j.d.m.tasks[at]
	errs, err := j.d.s.Extend(j.ctx, []glassq.Extend{{Token: t.token(), Lease: glassq.MaxLease}})
	t.at = j.d.m.now + glassq.MaxLease.Milliseconds()
	return errors.Join(append(errs, err)...)
}

// onMachines lives for a while on several machines, from an archive, and returns another one.
func (j *journey) onMachines(from *bytes.Buffer, seed uint64) (*bytes.Buffer, error) {
	j.moves++
	j.log = append(j.log, "to machines")
	c := newCrew(j.t, seed)
	c.rng, c.d, c.due = j.rng, j.d, j.due
	defer c.end()
	before, ahead, began := j.d.m.now, j.d.m.ahead, time.Now()
	_, err := cluster.Restore(c.ctx, c.world.Join().Ground(), from, cluster.Options{Beat: ownerBeat})
	for i := 0; i < 2 && err == nil; i++ {
		err = c.join()
	}
	if err != nil {
		return nil, err
	}
	c.d.s, c.d.clock = c.any(), c.now
	if err := c.follow(before, ahead, began, 0); err != nil {
		return nil, fmt.Errorf("on machines: %w", err)
	}
	for range 10 + j.rng.IntN(40) {
		err := c.step()
		j.steps++
		j.log = append(j.log, c.log[len(c.log)-1])
		if err != nil {
			return nil, fmt.Errorf("on machines: %w", err)
		}
	}
	if err := c.hold(); err != nil {
		return nil, err
	}
	// What is due by the wall clock would be put when the store is open again.
	time.Sleep(time.Until(time.Now().Truncate(time.Minute).Add(time.Minute + time.Second)))
	if err := c.same(); err != nil {
		return nil, err
	}
	i, _ := c.owner()
	if i < 0 {
		return nil, errors.New("no gateway owns the store")
	}
	var archive bytes.Buffer
	return &archive, c.seats[i].Archive(c.ctx, &archive)
}

// unpack makes a folder of an archive, and opens the store in it.
func (j *journey) unpack(archive *bytes.Buffer) (*play, error) {
	j.moves++
	j.log = append(j.log, "to a folder")
	dir, err := os.MkdirTemp("", "ladder")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	to := filepath.Join(dir, "to")
	if _, err := disk.Unarchive(archive, to); err != nil {
		return nil, err
	}
	fs, err := load(to)
	if err != nil {
		return nil, err
	}
	p := &play{fs: fs, opt: options(j.rng.IntN(6)), rng: j.rng}
	if err := p.open(); err != nil {
		return nil, err
	}
	return p, nil
}
