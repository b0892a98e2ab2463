package enginetest

import (
	"slices"
	"time"

	"github.com/glassq/glassq"
)

// A model is what an engine ought to hold, in plain maps. Its tasks are known by their bodies.
// Ready stands for delayed as well: when a backoff ends is the engine's choice.
type model struct {
	tasks     map[string]*modelTask
	order     []string // bodies, as they were put
	qbooks    map[string]*glassq.Books
	rbooks    map[string]*glassq.Books
	sets      map[string]map[glassq.IDSet]map[uint32]bool // of runs
	ids       map[string]map[string]modelID               // of queues
	cancelled map[string]bool
	ended     []endedLease
	number    uint64 // the highest lease number
}

type modelID struct {
	at   time.Time // of the put
	task *modelTask
}

type modelTask struct {
	queue, run string
	n          uint32
	dense      bool
	result     bool
	most       int // attempts
	ttl        time.Time
	notBefore  time.Time

	state    glassq.State // Ready, Leased, Dead, or Gone
	why      func(*glassq.DeadCounts) *uint64
	attempt  int
	lease    glassq.Token // Number 0: an end left it unclear which of this moment's leases lives
	deadline time.Time
	undone   time.Time // the last time
	free     bool      // ended without an ack, and is not kept: so is its id
}

type endedLease struct {
	token glassq.Token
	at    time.Time
}

func newModel() *model {
	return &model{tasks: map[string]*modelTask{}, qbooks: map[string]*glassq.Books{}, rbooks: map[string]*glassq.Books{},
		sets: map[string]map[glassq.IDSet]map[uint32]bool{}, ids: map[string]map[string]modelID{},
		cancelled: map[string]bool{}}
}

// books returns those that count t: its queue's, and its run's unless it is a result.
func (m *model) books(t *modelTask) []*glassq.Books {
	if m.qbooks[t.queue] == nil {
		m.qbooks[t.queue] = &glassq.Books{}
	}
	out := []*glassq.Books{m.qbooks[t.queue]}
	if t.run != "" && !t.result {
		if m.rbooks[t.run] == nil {
			m.rbooks[t.run] = &glassq.Books{}
			m.sets[t.run] = map[glassq.IDSet]map[uint32]bool{glassq.IDsPut: {}, glassq.IDsDone: {}, glassq.IDsFailed: {},
				glassq.IDsDead: {}}
		}
		out = append(out, m.rbooks[t.run])
	}
	return out
}

func (m *model) mark(t *modelTask, set glassq.IDSet, in bool) {
	if t.dense && !t.result {
		if in {
			m.sets[t.run][set][t.n] = true
		} else {
			delete(m.sets[t.run][set], t.n)
		}
	}
}

// add puts a task and tells whether it was no duplicate.
func (m *model) add(p *glassq.Task, now time.Time) bool {
	t := &modelTask{queue: p.Queue, run: p.Run, n: p.Position, dense: p.Dense, result: p.OfAttempt > 0, most: p.Attempts,
		state: glassq.Ready}
	switch {
	case t.result:
	case p.Dense:
		if s := m.sets[p.Run]; s != nil && s[glassq.IDsPut][p.Position] {
			return false
		}
	case p.ID != "":
		if m.ids[p.Queue] == nil {
			m.ids[p.Queue] = map[string]modelID{}
		}
		if id, ok := m.ids[p.Queue][p.ID]; ok && !id.task.free && now.Sub(id.at) < glassq.DedupWindow {
			return false
		}
		m.ids[p.Queue][p.ID] = modelID{now, t}
	}
	if t.most == 0 {
		t.most = glassq.DefaultAttempts
	}
	if p.TTL > 0 {
		t.ttl = now.Add(p.TTL)
	}
	if p.Delay > 0 {
		t.notBefore = now.Add(p.Delay)
	}
	for _, b := range m.books(t) {
		b.Put++
	}
	m.mark(t, glassq.IDsPut, true)
	m.tasks[string(p.Body)] = t
	m.order = append(m.order, string(p.Body))
	return true
}

func attempts(d *glassq.DeadCounts) *uint64  { return &d.Attempts }
func nacked(d *glassq.DeadCounts) *uint64    { return &d.Nacked }
func expired(d *glassq.DeadCounts) *uint64   { return &d.Expired }
func purged(d *glassq.DeadCounts) *uint64    { return &d.Purged }
func cancelled(d *glassq.DeadCounts) *uint64 { return &d.Cancelled }

// die ends a task without an ack; it is kept (Dead) or not (Gone).
func (m *model) die(t *modelTask, as glassq.State, why func(*glassq.DeadCounts) *uint64) {
	for _, b := range m.books(t) {
		*why(&b.Dead)++
	}
	m.mark(t, glassq.IDsDead, true)
	t.state, t.why, t.free = as, why, as == glassq.Gone
}

// giveBack ends a lease whose try failed.
func (m *model) giveBack(t *modelTask, at time.Time) {
	if t.lease.Number != 0 {
		m.ended = append(m.ended, endedLease{t.lease, at})
	}
	if t.attempt >= t.most {
		m.die(t, glassq.Dead, attempts)
		return
	}
	t.state = glassq.Ready
	m.expire(t, at)
}

func (m *model) expire(t *modelTask, now time.Time) {
	if t.state == glassq.Ready && !t.ttl.IsZero() && !now.Before(t.ttl) {
		m.die(t, glassq.Gone, expired)
	}
}

// advance lets leases and ttls expire.
func (m *model) advance(now time.Time) {
	for _, t := range m.tasks {
		if t.state == glassq.Leased && !now.Before(t.deadline) {
			m.giveBack(t, t.deadline)
		}
		m.expire(t, now)
	}
}

func (m *model) ack(t *modelTask, a *glassq.Ack, now time.Time) {
	for _, b := range m.books(t) {
		if a.Outcome == glassq.Failed {
			b.Failed++
		} else {
			b.OK++
		}
	}
	t.state = glassq.Gone
	if a.Result != nil {
		m.mark(t, glassq.IDsDone, true)
		m.add(&glassq.Task{Queue: glassq.DefaultResults, Body: a.Result.Body, Run: t.run, Position: t.n, Dense: t.dense,
			OfAttempt: 1}, now)
	}
	if a.Outcome == glassq.Failed {
		m.mark(t, glassq.IDsFailed, true)
	}
	for _, p := range a.Put {
		if !t.result {
			p.Run = t.run
		}
		m.add(&p, now)
	}
}

func (m *model) nack(t *modelTask, n *glassq.Nack, now time.Time) {
	switch {
	case n.Undone:
		m.ended = append(m.ended, endedLease{t.lease, now})
		t.attempt--
		t.state, t.undone, t.notBefore = glassq.Ready, now, time.Time{}
		if n.Delay > 0 {
			t.notBefore = now.Add(n.Delay)
		}
		m.expire(t, now)
	case n.Dead:
		m.ended = append(m.ended, endedLease{t.lease, now})
		m.die(t, glassq.Dead, nacked)
	default:
		t.notBefore = now.Add(max(n.Delay, 0))
		m.giveBack(t, now)
	}
}

// each calls fn for the tasks of a queue in a state and returns how many there were.
func (m *model) each(queue string, state glassq.State, fn func(*modelTask)) int {
	n := 0
	for _, t := range m.tasks {
		if t.queue == queue && t.state == state {
			fn(t)
			n++
		}
	}
	return n
}

func (m *model) purge(queue string) int {
	return m.each(queue, glassq.Ready, func(t *modelTask) { m.die(t, glassq.Gone, purged) })
}

func (m *model) purgeDead(queue string) int {
	return m.each(queue, glassq.Dead, func(t *modelTask) { t.state, t.free = glassq.Gone, true })
}

func (m *model) redrive(queue string) int {
	return m.each(queue, glassq.Dead, func(t *modelTask) {
		for _, b := range m.books(t) {
			*t.why(&b.Dead)--
		}
		m.mark(t, glassq.IDsDead, false)
		t.state, t.attempt, t.notBefore = glassq.Ready, 0, time.Time{}
	})
}

func (m *model) cancel(run string) int {
	n := 0
	for _, t := range m.tasks {
		if t.run == run && !t.result && t.state == glassq.Ready {
			m.die(t, glassq.Gone, cancelled)
			n++
		}
	}
	m.cancelled[run] = true
	return n
}

// compare checks all books, counts and sets of the engine against the model.
func (k *walker) compare() {
	for _, name := range walkQueues {
		q := k.queue(name)
		var want glassq.Books
		if b := k.m.qbooks[name]; b != nil {
			want = *b
		}
		var held [5]int64
		for _, t := range k.m.tasks {
			if t.queue == name {
				held[t.state]++
			}
		}
		if q.Books != want || q.Pending != want.Pending() || q.Pending != uint64(q.Delayed+q.Ready+q.Leased) ||
			q.Delayed+q.Ready != held[glassq.Ready] || q.Leased != held[glassq.Leased] || q.Dead != held[glassq.Dead] {
			k.Errorf("queue %s = %+v; want books %+v and delayed or ready %d, leased %d, dead %d",
				name, q, want, held[glassq.Ready], held[glassq.Leased], held[glassq.Dead])
		}
	}
	for name, want := range k.m.rbooks {
		if r := k.world.run(name); r.Books != *want || r.Pending != want.Pending() {
			k.Errorf("run %s: books %+v, pending %d; want %+v", name, r.Books, r.Pending, *want)
		}
		for set, want := range k.m.sets[name] {
			got, err := k.store().RunIDs(k.Context(), name, set, 0, 10_000)
			n := 0
			for _, iv := range got {
				for i := iv.First; i <= iv.Last; i++ {
					if n++; !want[i] {
						k.Errorf("run %s: position %d is in the set %s and ought not to be", name, i, set)
					}
				}
			}
			if err != nil || n != len(want) {
				k.Errorf("RunIDs(%s, %s) = %d positions, %v; want %d", name, set, n, err, len(want))
			}
		}
	}
}

// reconcile checks after an end that every task is there exactly once, and learns which of this
// moment's hand-outs and undone leases were lost by it: those alone need not be durable.
func (k *walker) reconcile() {
	now := time.Now()
	found := map[string]bool{}
	for _, name := range walkQueues {
		if k.m.qbooks[name] == nil {
			continue
		}
		for _, state := range []glassq.State{glassq.Delayed, glassq.Ready, glassq.Leased, glassq.Dead} {
			for _, p := range k.peek(name, state) {
				t := k.m.tasks[string(p.Body)]
				if t == nil || found[string(p.Body)] || t.queue != name {
					k.Errorf("after the end %s has %q as %v; in the model it is %+v", name, p.Body, state, t)
					continue
				}
				found[string(p.Body)] = true
				k.learn(t, &p, now)
			}
		}
	}
	for _, body := range k.m.order {
		if t := k.m.tasks[body]; t.state != glassq.Gone && !found[body] {
			k.Errorf("after the end %q is lost; in the model it is %+v", body, t)
		}
	}
	k.m.ended = slices.DeleteFunc(k.m.ended, func(x endedLease) bool { return x.at.Equal(now) })
}

func (k *walker) learn(t *modelTask, p *glassq.Peeked, now time.Time) {
	before := t.attempt
	if t.state == glassq.Leased {
		before--
	}
	switch {
	case t.state == glassq.Dead && p.State == glassq.Dead:
	case t.state == glassq.Ready && (p.State == glassq.Ready || p.State == glassq.Delayed) && p.Attempt == before:
	case t.state == glassq.Leased && p.State == glassq.Ready && p.Attempt == before:
		t.state, t.attempt = glassq.Ready, before
	case t.state == glassq.Leased && p.State == glassq.Leased && p.Attempt == before+1 && !t.undone.Equal(now):
	case (t.state == glassq.Leased || t.state == glassq.Ready) && p.State == glassq.Leased && p.Attempt == before+1 &&
		t.undone.Equal(now):
		t.state, t.attempt, t.lease.Number, t.deadline = glassq.Leased, p.Attempt, 0, now.Add(p.Due)
	default:
		k.Errorf("after the end %q is %v with attempt %d; in the model it is %+v", p.Body, p.State, p.Attempt, t)
	}
}
