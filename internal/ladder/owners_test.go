package ladder

import (
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/cluster"
	"github.com/glassq/glassq/internal/cluster/clustertest"
	"github.com/glassq/glassq/internal/state"
)

var ownerSteps = flag.Int("owners", 4000, "steps of TestOwners; make owners takes more")

// TestOwners drives a store of two to four gateways, on a log in memory, beside the model: every verb at
// any gateway, while owners die, leave, are cut off and come back in the belief that they are owners, and the
// machines of the log elect. After each step any gateway must show what the model does.
func TestOwners(t *testing.T) {
	start := time.Now()
	var steps, harms, epochs int
	last := *seed
	for ; steps < budget(*ownerSteps) && !t.Failed(); last++ {
		synctest.Test(t, func(t *testing.T) {
			c := newCrew(t, last)
			defer c.end()
			if err := c.live(150 + c.rng.IntN(150)); err != nil {
				t.Errorf("-seed %d -owners 1: %v\nlife: %q", last, err, c.log)
			}
			steps, harms, epochs = steps+c.steps, harms+c.harms, epochs+c.epochs
		})
	}
	stdout("rung=owners steps=%d harms=%d epochs=%d seed=%d next_seed=%d seconds=%.0f failed=%v", steps, harms, epochs, *seed, last,
		time.Since(start).Seconds(), t.Failed())
}

const (
	ownerBeat  = 5 * time.Second
	clockQueue = "clock" // one delayed task, whose due time tells the time of the log
	clockDelay = 5000 * time.Hour
	lagMost    = 4 * ownerBeat // of the log's time behind the clock, after one take-over
)

// A crew is the gateways of one store, and what the store ought to hold.
type crew struct {
	t       *testing.T
	ctx     context.Context
	rng     *rand.Rand
	world   *clustertest.World
	seats   []seat
	closing sync.WaitGroup // stores that were killed
	d       *driver
	due     int64 // of the task of clockQueue
	log     []string
	owed    int64  // when the log's time stood still last, if it did
	since   uint64 // the last message before fate did something
	err     error  // of reading the clock

	steps, harms, epochs int
}

// A seat is one gateway.
type seat struct {
	*cluster.Store
	m *clustertest.Member
}

func newCrew(t *testing.T, seed uint64) *crew {
	return &crew{t: t, ctx: t.Context(), rng: rand.New(rand.NewPCG(seed, 30)),
		world: clustertest.New(clustertest.Options{Seed: seed})}
}

// join adds a gateway.
func (c *crew) join() error {
	m := c.world.Join()
	s, err := cluster.Open(c.ctx, m.Ground(), cluster.Options{CacheBytes: 1, CheckpointEvery: 32 << 10,
		ExtentBytes: 16 << 10, Beat: ownerBeat})
	if err == nil {
		c.seats = append(c.seats, seat{s, m})
	}
	return err
}

// kill ends a gateway at once.
func (c *crew) kill(i int) {
	s := c.seats[i]
	c.seats = slices.Delete(c.seats, i, i+1)
	s.m.Kill()
	c.closing.Go(func() { s.Close() }) // it finds nobody, and gives up in time
}

func (c *crew) end() {
	for _, s := range c.seats {
		if err := s.Close(); err != nil {
			c.t.Errorf("Close = %v", err)
		}
	}
	c.closing.Wait()
}

func (c *crew) any() seat { return c.seats[c.rng.IntN(len(c.seats))] }

// owner is the gateway that owns the store, -1 for none, and its epoch. One that was cut off may still believe
// that it does.
func (c *crew) owner() (at int, epoch uint64) {
	at = -1
	for i, s := range c.seats {
		is, err := s.Stats(c.ctx)
		if err == nil && is.Cluster.Role == glassq.RoleOwner && is.Cluster.Epoch > epoch {
			at, epoch = i, is.Cluster.Epoch
		}
	}
	return at, epoch
}

// now is the time of the log, in ms.
func (c *crew) now() int64 {
	if len(c.d.m.schedules) > 0 {
		synctest.Wait() // what is due is put
	}
	ps, _, err := c.any().Peek(c.ctx, clockQueue, glassq.Delayed, 0, 1)
	if err == nil && len(ps) != 1 {
		err = fmt.Errorf("%d tasks tell the time", len(ps))
	}
	if err != nil {
		c.err = errors.Join(c.err, fmt.Errorf("the time of the log: %w", err))
		return c.d.m.now
	}
	now := c.due - ps[0].Due.Milliseconds()
	c.d.m.ahead = time.Now().UnixMilli() - now
	return now
}

// live lives a life of so many steps.
func (c *crew) live(steps int) error {
	for range 2 + c.rng.IntN(2) {
		if err := c.join(); err != nil {
			return err
		}
	}
	c.d = &driver{m: newModel(), rng: c.rng, prefix: "a"}
	c.d.s = c.seats[0]
	c.d.m.advance(time.Now().UnixMilli())
	c.due = c.d.m.now + clockDelay.Milliseconds()
	if err := c.d.put(c.ctx, glassq.Task{Queue: clockQueue, Body: c.d.body(10)}); err != nil {
		return err
	}
	if err := c.d.reserve(c.ctx, clockQueue, 1, false); err != nil {
		return err
	}
	if err := c.d.put(c.ctx, glassq.Task{Queue: clockQueue, Body: c.d.body(10), Delay: clockDelay}); err != nil {
		return err
	}
	c.d.clock = c.now
	for range steps {
		if err := c.step(); err != nil {
			return err
		}
	}
	return nil
}

// step takes one step, of a client or of fate.
func (c *crew) step() error {
	name := both[c.rng.IntN(len(both))]
	if c.rng.IntN(8) == 0 || name == "restart" {
		name = harms[c.rng.IntN(len(harms))]
	}
	c.steps++
	c.log = append(c.log, name)
	c.d.s = c.any()
	if i, _ := c.owner(); name == "take" && i >= 0 { // elsewhere it is a lease and an ack, which keys and halts count
		c.d.s = c.seats[i]
	}
	err := c.hold()
	switch {
	case err != nil:
	case slices.Contains(harms, name):
		c.harms++
		err = c.harm(name)
	default:
		err = c.d.step(c.ctx, name)
	}
	synctest.Wait() // what goes on in the background
	if err == nil {
		err = c.same()
	}
	if err = errors.Join(err, c.err); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// hold keeps the lease that tells the gap.
func (c *crew) hold() error {
	c.d.m.advance(c.now())
	for i := range c.d.m.tasks {
		t := &c.d.m.tasks[i]
		if t.Queue != clockQueue || t.state != glassq.Leased || t.at-c.d.m.now > glassq.MaxLease.Milliseconds()/2 {
			continue
		}
		errs, err := c.d.s.Extend(c.ctx, []glassq.Extend{{Token: t.token(), Lease: glassq.MaxLease}})
		if err = errors.Join(append(errs, err)...); err != nil {
			return fmt.Errorf("Extend of the lease that tells the gap: %w", err)
		}
		t.at = c.d.m.now + glassq.MaxLease.Milliseconds()
	}
	return nil
}

// same checks that any gateway shows what the model does.
func (c *crew) same() error {
	now := c.now()
	c.d.m.advance(now)
	got, err := observe(c.ctx, c.any(), now)
	if err != nil {
		return err
	}
	if want := c.d.m.view(); got != want {
		return fmt.Errorf("the store shows another state than the model:\n%s", diff(got, want))
	}
	return nil
}

// harms are what fate does.
var harms = []string{"killed", "left", "cut off", "robbed", "elect", "joined", "gone", "all", "faults", "under"}

// harm does something to the crew, waits until there is an owner, and has the model follow.
func (c *crew) harm(name string) error {
	if name == "under" && len(c.d.m.schedules) > 0 { // what is due comes before or after all of it
		time.Sleep(time.Until(time.Now().Truncate(time.Minute).Add(time.Minute)))
	}
	if name == "under" && len(c.d.m.runsThat(func(r mrun) bool { return r.ended == 0 && r.hooked() })) > 0 {
		name = "killed" // a hook may be put before or after what is under way
	}
	c.quiet() // so that a frame tells the time: what comes after it, the next owner does not know
	before, began := c.now(), time.Now()
	c.since = c.world.Last()
	c.d.m.advance(before)
	ahead := c.d.m.ahead
	time.Sleep(time.Duration(c.rng.IntN(900)) * time.Millisecond)
	i, epoch := c.owner()
	if i < 0 {
		return errors.New("no gateway owns the store")
	}
	calm := func() { time.Sleep(6 * ownerBeat) } // whoever is about to take over does it
	some := func(most int) { time.Sleep(time.Duration(1+c.rng.IntN(most)) * time.Second) }
	switch name {
	case "killed":
		c.kill(i)
	case "left":
		s := c.seats[i]
		c.seats = slices.Delete(c.seats, i, i+1)
		if err := s.Close(); err != nil {
			return err
		}
	case "cut off": // and back in its belief, or in time
		m := c.seats[i].m
		m.Cut(true, true, true)
		some(60)
		m.Cut(false, false, false)
		calm()
	case "robbed": // of some of its ways, or another gateway is
		m := c.any().m
		m.Cut(c.rng.IntN(2) == 0, c.rng.IntN(2) == 0, c.rng.IntN(2) == 0)
		some(40)
		m.Cut(false, false, false)
		calm()
	case "elect":
		pause := time.Duration(1+c.rng.IntN(9)) * time.Second
		c.world.Elect(pause)
		time.Sleep(time.Duration(c.rng.IntN(2000)) * time.Millisecond)
		c.owed = before + time.Since(began).Milliseconds() + 1000
		c.now() // waits, if it has to be proved
		time.Sleep(time.Until(began.Add(pause + time.Second)))
		calm()
	case "joined":
		if len(c.seats) == 4 {
			c.kill((i + 1) % 4)
		}
	case "gone":
		if len(c.seats) > 2 {
			c.kill((i + 1) % len(c.seats))
		}
	case "all":
		for len(c.seats) > 0 {
			c.kill(0)
		}
		some(100)
		if err := c.join(); err != nil {
			return err
		}
	case "faults": // while another one takes over
		c.world.SetFaults(clustertest.Faults{Lost: .05, Unanswered: .05, Refused: .05, Stale: .2, Skipped: .02,
			Rotten: .02, ReadFails: .05})
		c.kill(i)
		if err := c.join(); err != nil {
			return err
		}
		some(60)
		c.world.SetFaults(clustertest.Faults{})
		calm()
	case "under":
		if err := c.under(i); err != nil {
			return err
		}
	}
	for len(c.seats) < 2 || name == "joined" && len(c.seats) < 4 && c.rng.IntN(3) > 0 {
		if err := c.join(); err != nil {
			return err
		}
	}
	return c.follow(before, ahead, began, epoch)
}

// quiet lets two seconds pass in which the log gets no frame that nobody asked for.
func (c *crew) quiet() {
	frames := func() uint64 {
		if i, _ := c.owner(); i >= 0 {
			s, err := c.seats[i].Stats(c.ctx)
			c.err = errors.Join(c.err, err)
			return s.Frames
		}
		return 0
	}
	for was := uint64(0); was != frames(); time.Sleep(2 * time.Second) {
		was = frames()
	}
}

// under has a put and an ack under way while the owner, which does not reach the log, dies or comes back. Both
// may be repeated, so they must be done, and once.
func (c *crew) under(i int) error {
	m := c.d.m
	victim := c.seats[i].m
	victim.Cut(true, false, false)
	dies := c.rng.IntN(2) == 0
	var wg sync.WaitGroup
	var puts []glassq.Receipt
	var putErr, ackErr error
	var acks []glassq.Ack
	task := glassq.Task{Queue: "next", Body: c.d.body(20), ID: fmt.Sprint("under", c.steps)}
	for k := range m.tasks {
		if t := &m.tasks[k]; t.state == glassq.Leased && t.Queue == glassq.DefaultResults && len(acks) == 0 &&
			t.at-m.now > 2*ownerBeat.Milliseconds() {
			acks = []glassq.Ack{{Token: t.token()}}
		}
	}
	at, other := c.any(), c.any()
	wg.Go(func() { puts, putErr = at.Put(c.ctx, []glassq.Task{task}) })
	if len(acks) > 0 {
		wg.Go(func() {
			errs, err := other.Ack(c.ctx, acks)
			ackErr = errors.Join(append(errs, err)...)
		})
	}
	time.Sleep(time.Duration(c.rng.IntN(4000)) * time.Millisecond)
	if dies {
		killed := at.m == victim || other.m == victim
		c.kill(i)
		if err := c.join(); err != nil {
			return err
		}
		if killed { // a call at the gateway that died is one that nobody hears of
			at, other = c.any(), c.any()
			wg.Wait()
			puts, putErr = at.Put(c.ctx, []glassq.Task{task})
			if len(acks) > 0 {
				errs, err := other.Ack(c.ctx, acks)
				ackErr = errors.Join(append(errs, err)...)
			}
		}
	} else {
		victim.Cut(false, false, false)
	}
	wg.Wait()
	if putErr != nil || ackErr != nil {
		return fmt.Errorf("a put with an id and an ack over a change of owners: %v, %v", putErr, ackErr)
	}
	if want := m.put(task); puts[0] != want && !puts[0].Duplicate {
		return fmt.Errorf("Put = %+v; want %+v, or a duplicate", puts[0], want)
	}
	for k := range acks {
		if code := m.ack(&acks[k]); code != "" {
			return fmt.Errorf("an ack of a live lease of before: the model says %s", code)
		}
	}
	m.endRuns()
	return nil
}

// A standstill is a gap of the log: where the log's time stood, and how much passed.
type standstill struct{ at, ms int64 }

// standstills are the gaps in messages behind since, before the first record that is of something else than time,
// and how long they are together.
func (c *crew) standstills() (list []standstill, sum int64) {
	const head, timeAt = 108, 56 // see internal/cluster/message.go
	first, all := c.world.Messages()
	for i, msg := range all {
		if first+uint64(i) <= c.since {
			continue
		}
		at := int64(binary.LittleEndian.Uint64(msg[timeAt:]))
		for records := msg[head:]; len(records) > 0; {
			ms, n := binary.Uvarint(records[1:])
			if records[0] == state.AppendGap(nil, 0)[0] {
				list, sum = append(list, standstill{at, int64(ms)}), sum+int64(ms)
			} else if records[0] != state.AppendTime(nil, 0)[0] {
				break
			}
			at, records = at+int64(ms), records[1+n:]
		}
	}
	return list, sum
}

// follow has the model go over the time in which there may have been no owner. Deadlines of leases have moved by
// what of it the log did not know; whoever reads the log says by how much, and all must have by the same. Due
// moments of schedules may have been late.
func (c *crew) follow(before, ahead int64, began time.Time, epoch uint64) error {
	now := c.now()
	elapsed := time.Since(began).Milliseconds()
	_, newest := c.owner()
	if c.err != nil || newest < epoch {
		return errors.Join(c.err, fmt.Errorf("there is no owner of epoch %d or later, and the time was told", epoch))
	}
	c.epochs += int(newest - epoch)
	if went, ahead := now-before, now-time.Now().UnixMilli(); ahead > 0 || went < elapsed-lagMost.Milliseconds() {
		return fmt.Errorf("the time of the log went on by %d ms while %d passed, and is %d ms ahead", went, elapsed, ahead)
	}
	ps, _, err := c.any().Peek(c.ctx, clockQueue, glassq.Leased, 0, 1)
	if err != nil || len(ps) != 1 {
		return fmt.Errorf("Peek of the lease that tells the gap = %d tasks, %w", len(ps), err)
	}
	gap := now + ps[0].Due.Milliseconds() - c.d.m.find(ps[0].Number).at
	if gap < 0 || gap > now-before {
		return fmt.Errorf("deadlines moved by %d ms in %d", gap, now-before)
	}
	// The log tells at which moments it was. Where some stand behind other records, it was over the time after the
	// last frame, where another owner began, or where the log's time stood still.
	ways := [][]standstill{{{before, gap}}, {{now - gap, gap}}, {{c.owed, gap}}}
	if list, sum := c.standstills(); sum == gap {
		ways = [][]standstill{list}
	}
	deaf := []int64{0} // until when nobody looked at the wall clock
	if len(c.d.m.schedules) > 0 {
		end := time.Now().UnixMilli()
		for b := end / minute * minute; b > began.UnixMilli(); b -= minute {
			deaf = append(deaf, b, min(b+minute+1, end))
		}
	}
	var differs []error
	was := c.d.m
	for _, until := range deaf {
		for _, way := range ways {
			m := was.clone()
			m.ahead, m.deaf = ahead, until
			for _, x := range way {
				m.advance(x.at)
				for k := range m.tasks {
					if t := &m.tasks[k]; t.state == glassq.Leased {
						t.at += x.ms
					}
				}
			}
			m.ahead = was.ahead
			m.advance(now)
			m.deaf = 0
			c.d.m = m
			err := c.same()
			if err == nil {
				return nil
			}
			differs = append(differs, fmt.Errorf("with a gap of %d ms as %v, deaf until %d: %w", gap, way, until, err))
		}
	}
	c.d.m = was
	return errors.Join(differs...)
}
