package enginetest

import (
	"math/rand/v2"
	"time"

	"github.com/glassq/glassq"
)

// A meter is what a worker of one key with a cost rate saw: hand-outs, each with what its task said that it costs,
// and acks, each with by how much the task really cost more.
type meter struct {
	*world
	rng    *rand.Rand
	start  time.Time
	seen   []spent
	leases []glassq.Lease // not acked yet
	total  float64        // handed out, as settled so far
}

type spent struct {
	at      time.Duration
	cost    float64
	handOut bool
}

const costRate, costBurst, mostCost = 5, 20.0, 5 // three refunds at once never fill the bucket beside a task that waits

// newMeter gives queue q a key with more tasks than a meter reads.
func newMeter(w *world) *meter {
	m := &meter{world: w, rng: rand.New(rand.NewPCG(7, 7)), start: time.Now()}
	w.keyRules(glassq.KeyLimits{CostRate: rateOf("5"), CostBurst: new(costBurst)})
	for range 40 {
		ts := keyed("q", "a", numbered(20)...)
		for i := range ts {
			ts[i].Cost = uint32(1 + m.rng.IntN(mostCost))
		}
		w.put(ts...)
	}
	return m
}

// work takes tasks for a while, acks some of them at once and others later, and has them cost what chance says.
func (m *meter) work(length time.Duration) {
	m.Helper()
	for until := time.Now().Add(length); time.Now().Before(until); {
		got := m.ask(glassq.Reserve{Queue: "q", Max: 3, Wait: time.Second, Lease: time.Hour})
		if <-got.done; got.err != nil {
			m.Fatalf("Reserve = %v", got.err)
		}
		for i := range got.leases {
			m.note(float64(got.leases[i].Cost), true)
		}
		m.leases = append(m.leases, got.leases...)
		for m.rng.IntN(3) > 0 && len(m.leases) > 0 {
			m.settle(m.rng.IntN(len(m.leases)), uint32(m.rng.IntN(2*mostCost)))
		}
	}
}

// settle acks a task that cost so much.
func (m *meter) settle(i int, cost uint32) {
	m.Helper()
	l := &m.leases[i]
	m.ack(glassq.Ack{Token: l.Token(), Cost: &cost})
	m.note(float64(cost)-float64(l.Cost), false)
	m.leases[i] = m.leases[len(m.leases)-1]
	m.leases = m.leases[:len(m.leases)-1]
}

func (m *meter) note(cost float64, handOut bool) {
	m.seen = append(m.seen, spent{time.Since(m.start), cost, handOut})
	m.total += cost
}

// windows checks every window that ends with a hand-out: what was handed out in it, and settled in it, is at most the
// burst and the rate.
func (m *meter) windows() {
	m.Helper()
	for i := range m.seen {
		sum := 0.0
		for _, s := range m.seen[i:] {
			sum += s.cost
			if w := (s.at - m.seen[i].at).Seconds(); s.handOut && sum > costBurst+costRate*w+1e-6 {
				m.Fatalf("a cost of %v was handed out in the %vs from %v on; want at most %v", sum, w, m.seen[i].at, costBurst+costRate*w)
			}
		}
	}
}

func keyCostRate(w *world) {
	m := newMeter(w)
	m.work(90 * time.Second)
	m.windows()
	if least := costRate*time.Since(m.start).Seconds() - costBurst; m.total < least {
		w.Errorf("a cost of %v was handed out in %v; want at least %v", m.total, time.Since(m.start), least)
	}
}

// keyCostStays ends the engine beside a debt.
func keyCostStays(w *world, end func()) {
	m := newMeter(w)
	for range 3 {
		m.work(10 * time.Second)
		for len(m.leases) == 0 {
			m.work(time.Second)
		}
		m.settle(0, 150)
		end()
	}
	owed := time.Now()
	m.work(time.Minute)
	m.windows()
	if last := m.start.Add(m.seen[len(m.seen)-1].at); !last.After(owed) {
		w.Errorf("nothing was handed out in the minute after a debt of 150 at %d a second", costRate)
	}
}
