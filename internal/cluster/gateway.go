package cluster

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/room"
)

const statsFor = 200 * time.Millisecond // that Stats waits for the owner

var (
	_ glassq.Store  = (*Store)(nil)
	_ glassq.Waits  = (*Store)(nil)
	_ glassq.Finder = (*Store)(nil)
	_ glassq.Lister = (*Store)(nil)

	_ glassq.Archiver  = (*Store)(nil)
	_ glassq.Keys      = (*Store)(nil)
	_ glassq.Schedules = (*Store)(nil)
)

// where says who does calls now: this gateway, or the one named owner, or nobody before changed is
// closed, since lone.
func (s *Store) where() (own *reign, owner string, changed <-chan struct{}, lone time.Time, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if owner = s.owner; owner == s.name {
		owner = ""
	}
	return s.reign, owner, s.changed, s.loneAt, s.err
}

// heardOwner is the owner as far as heard; changed is closed when that changes.
func (s *Store) heardOwner() (owner string, changed <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.owner, s.changed
}

// serving is the reign of this gateway, or nil.
func (s *Store) serving() *reign {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return nil
	}
	return s.reign
}

func (s *Store) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// disown forgets the owner, until it is heard of again.
func (s *Store) disown(owner string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.owner == owner {
		s.owner = ""
		s.change()
	}
}

// serve does a call of another gateway, as the owner. undo, if not nil, is for an answer that
// nobody heard.
func (s *Store) serve(ctx context.Context, data []byte) (answer []byte, undo func()) {
	if len(data) == 0 || len(data) < 1+int(data[0]) {
		return refuse(glassq.Errorf(glassq.CodeInternal, "a call of another gateway does not read")), nil
	}
	name, args := string(data[1:1+data[0]]), data[1+data[0]:]
	v, r := s.served.verbs[name], s.serving()
	switch {
	case r == nil:
		return refuse(&deposed{by: "it stopped"}), nil
	case v == nil:
		return refuse(glassq.Errorf(glassq.CodeUnsupported, "the gateway that owns the store does not know %q: let all gateways be of one version", name)), nil
	}
	return v.serve(ctx, s, r.engine, args)
}

// Put stores tasks; see glassq.Engine. When the owner dies meanwhile a put of which all tasks have
// ids is made again; any other may end with outcome_unknown.
func (s *Store) Put(ctx context.Context, ts []glassq.Task) ([]glassq.Receipt, error) {
	if len(ts) == 0 {
		return nil, nil
	}
	return s.put(ctx, putArgs{tasks: ts})
}

// PutWait is Put that waits for room; see glassq.Waits.
func (s *Store) PutWait(ctx context.Context, ts []glassq.Task, wait time.Duration) ([]glassq.Receipt, error) {
	if err := ctx.Err(); err != nil || len(ts) == 0 {
		return nil, err
	}
	return s.put(ctx, putArgs{ts, &wait})
}

func (s *Store) put(ctx context.Context, a putArgs) ([]glassq.Receipt, error) {
	nameless := slices.ContainsFunc(a.tasks, func(t glassq.Task) bool { return t.TaskID() == "" })
	receipts, _, err := putVerb.call(ctx, s, a, nameless)
	return receipts, err
}

// Reserve leases tasks; see glassq.Engine. The room of ctx bounds their bodies, see package room:
// those of another gateway are counted when they are here, and what finds no room goes back.
func (s *Store) Reserve(ctx context.Context, r glassq.Reserve) ([]glassq.Lease, error) {
	var end time.Time
	if r.Wait > 0 {
		end = time.Now().Add(r.Wait)
	}
	for bodies := room.Of(ctx); ; {
		ls, remote, err := reserveVerb.call(ctx, s, r, false)
		if err != nil || !remote || len(ls) == 0 {
			return ls, err
		}
		if ctx.Err() != nil { // it came when nobody waited any more
			s.undo(ctx, ls)
			return nil, ctx.Err()
		}
		fits := 0
		for bodies != nil && fits < len(ls) && bodies.Try(bytesOf(&ls[fits].Task)) {
			fits++
		}
		if bodies == nil {
			fits = len(ls)
		}
		s.undo(ctx, ls[fits:])
		if fits > 0 {
			return s.taken(ctx, ls[:fits], r.Take, bodies != nil)
		}
		if err := bodies.Take(ctx, bytesOf(&ls[0].Task)); err != nil {
			return nil, err
		}
		if r.Wait > 0 {
			r.Wait = max(0, time.Until(end))
		}
	}
}

func bytesOf(t *glassq.Task) int64 { return int64(len(t.Body) + len(t.Extra)) }

// undo gives leases back, at whatever gateway owns the store now. Tasks that were only looked at have none.
func (s *Store) undo(ctx context.Context, ls leases) {
	var nacks []glassq.Nack
	for i := range ls {
		if ls[i].Number != 0 {
			nacks = append(nacks, glassq.Nack{Token: ls[i].Token(), Undone: true})
		}
	}
	if len(nacks) > 0 {
		s.Nack(context.WithoutCancel(ctx), nacks) // what fails here expires by itself
	}
}

// taken acks leases that the caller wants as taken. Where room is kept, the caller acks the large
// ones itself.
func (s *Store) taken(ctx context.Context, ls leases, take, kept bool) ([]glassq.Lease, error) {
	if !take {
		return ls, nil
	}
	var acks []glassq.Ack
	for i := range ls {
		if l := &ls[i]; !kept || bytesOf(&l.Task) <= room.Small {
			acks = append(acks, glassq.Ack{Token: l.Token()})
			l.Number = 0
		}
	}
	if len(acks) == 0 {
		return ls, nil
	}
	errs, err := s.Ack(context.WithoutCancel(ctx), acks)
	if err != nil {
		return nil, err
	}
	i := 0
	return slices.DeleteFunc(ls, func(l glassq.Lease) bool {
		if l.Number != 0 {
			return false
		}
		i++
		return errs[i-1] != nil
	}), nil
}

// Ack ends leases; see glassq.Engine.
func (s *Store) Ack(ctx context.Context, list []glassq.Ack) ([]error, error) {
	return s.ack(ctx, list, nil)
}

// AckWait is Ack that waits for room; see glassq.Waits.
func (s *Store) AckWait(ctx context.Context, a glassq.Ack, wait time.Duration) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	errs, err := s.ack(ctx, []glassq.Ack{a}, &wait)
	if err != nil {
		return err
	}
	return errs[0]
}

// ack asks Within here, of the queues that the owner knows: a lease of another queue is lost.
func (s *Store) ack(ctx context.Context, list []glassq.Ack, wait *time.Duration) ([]error, error) {
	asks := func(a glassq.Ack) bool { return a.Within != nil && a.Token.Queue == "" }
	if s.serving() != nil || !slices.ContainsFunc(list, asks) {
		errs, _, err := ackVerb.call(ctx, s, ackArgs{list, wait}, false)
		return errs, err
	}
	numbers := make([]uint64, len(list))
	for i := range list {
		numbers[i] = list[i].Token.Number
	}
	queues, _, err := leasedVerb.call(ctx, s, numbers, false)
	if err != nil {
		return nil, err
	}
	errs := make([]error, len(list))
	var may []glassq.Ack
	var at []int
	for i, a := range list {
		if asks(a) && (queues[i] == "" || !a.Within(queues[i])) {
			errs[i] = glassq.ErrLeaseLost
			continue
		}
		if asks(a) {
			a.Token.Queue = queues[i]
		}
		may, at = append(may, a), append(at, i)
	}
	if len(may) == 0 {
		return errs, nil
	}
	done, _, err := ackVerb.call(ctx, s, ackArgs{may, wait}, false)
	if err != nil {
		return nil, err
	}
	for i, err := range done {
		errs[at[i]] = err
	}
	return errs, nil
}

// Nack gives leases back; see glassq.Engine.
func (s *Store) Nack(ctx context.Context, nacks []glassq.Nack) ([]error, error) {
	errs, _, err := nackVerb.call(ctx, s, nacks, false)
	return errs, err
}

// Extend moves deadlines; see glassq.Engine.
func (s *Store) Extend(ctx context.Context, extends []glassq.Extend) ([]error, error) {
	errs, _, err := extendVerb.call(ctx, s, extends, false)
	return errs, err
}

// Queues lists queues; see glassq.Operator.
func (s *Store) Queues(ctx context.Context, names ...string) ([]glassq.QueueInfo, error) {
	infos, _, err := queuesVerb.call(ctx, s, names, false)
	return infos, err
}

// List lists queues; see glassq.Lister.
func (s *Store) List(ctx context.Context, q glassq.QueueQuery) (glassq.QueueList, error) {
	l, _, err := listVerb.call(ctx, s, q, false)
	return l, err
}

// Configure changes settings of a queue; see glassq.Operator.
func (s *Store) Configure(ctx context.Context, queue string, c glassq.SettingsChange) (glassq.Settings, error) {
	set, _, err := configureVerb.call(ctx, s, queueArgs{Queue: queue, Change: c}, false)
	return set, err
}

// Peek shows tasks; see glassq.Operator.
func (s *Store) Peek(ctx context.Context, queue string, state glassq.State, cursor uint64, most int) ([]glassq.Peeked,
	uint64, error) {
	for bodies := room.Of(ctx); ; {
		g, remote, err := peekVerb.call(ctx, s, peekArgs{queue, state, cursor, most}, false)
		if err != nil || !remote || bodies == nil || len(g.tasks) == 0 {
			return g.tasks, g.next, err
		}
		i := slices.IndexFunc(g.tasks, func(p glassq.Peeked) bool { return !bodies.Try(bytesOf(&p.Task)) })
		switch {
		case i < 0:
			return g.tasks, g.next, nil
		case i > 0:
			return g.tasks[:i], g.tasks[i].Number, nil // this one begins the next page
		}
		if err := bodies.Take(ctx, bytesOf(&g.tasks[0].Task)); err != nil {
			return nil, 0, err
		}
	}
}

// Purge ends tasks that nobody works on; see glassq.Operator.
func (s *Store) Purge(ctx context.Context, queue string, states ...glassq.State) (int, error) {
	n, _, err := purgeVerb.call(ctx, s, queueArgs{Queue: queue, States: states}, true)
	return n, err
}

// Redrive makes dead tasks ready again; see glassq.Operator.
func (s *Store) Redrive(ctx context.Context, queue string, most int) (int, error) {
	n, _, err := redriveVerb.call(ctx, s, queueArgs{Queue: queue, Most: most}, true)
	return n, err
}

// RedriveSome is Redrive of some dead tasks; see glassq.Operator.
func (s *Store) RedriveSome(ctx context.Context, queue string, f glassq.DeadFilter) (int, error) {
	n, _, err := redriveSomeVerb.call(ctx, s, someArgs{queue, f}, true)
	return n, err
}

// PurgeSome is the purge of some dead tasks; see glassq.Operator.
func (s *Store) PurgeSome(ctx context.Context, queue string, f glassq.DeadFilter) (int, error) {
	n, _, err := purgeSomeVerb.call(ctx, s, someArgs{queue, f}, true)
	return n, err
}

// Keys lists keys of a queue; see glassq.Keys.
func (s *Store) Keys(ctx context.Context, queue, after string, most int) ([]glassq.KeyInfo, error) {
	keys, _, err := keysVerb.call(ctx, s, keysArgs{queue, after, most}, false)
	return keys, err
}

// ReleaseKey ends the hold and the halt of a key; see glassq.Keys.
func (s *Store) ReleaseKey(ctx context.Context, queue, key string) error {
	_, _, err := releaseKeyVerb.call(ctx, s, keysArgs{Queue: queue, Key: key}, true)
	return err
}

// Drop forgets a queue; see glassq.Operator.
func (s *Store) Drop(ctx context.Context, queue string) error {
	_, _, err := dropVerb.call(ctx, s, queueArgs{Queue: queue}, true)
	return err
}

// Held tells how much queues hold; see glassq.Waits.
func (s *Store) Held(ctx context.Context, queues ...string) ([]glassq.Held, error) {
	held, _, err := heldVerb.call(ctx, s, queues, false)
	return held, err
}

// AwaitIdle waits for the end of a queue; see glassq.Waits.
func (s *Store) AwaitIdle(ctx context.Context, queue string, wait time.Duration) (bool, error) {
	is, _, err := idleVerb.call(ctx, s, queueArgs{Queue: queue, Wait: wait}, false)
	return is, err
}

// NextDelayed tells what the delayed tasks of a queue wait for; see glassq.Finder.
func (s *Store) NextDelayed(ctx context.Context, queue string) (glassq.Delays, error) {
	d, _, err := delayedVerb.call(ctx, s, queueArgs{Queue: queue}, false)
	return d, err
}

// Find finds one task; see glassq.Finder.
func (s *Store) Find(ctx context.Context, f glassq.Find) (glassq.Found, error) {
	g, _, err := findVerb.call(ctx, s, f, false)
	found := glassq.Found{Where: g.where}
	if len(g.tasks) > 0 {
		found.Peeked = g.tasks[0]
	}
	return found, err
}

// Runs lists all runs; see glassq.Runs.
func (s *Store) Runs(ctx context.Context) ([]glassq.Run, error) {
	runs, _, err := runsVerb.call(ctx, s, struct{}{}, false)
	return runs, err
}

// Run shows one run; see glassq.Runs.
func (s *Store) Run(ctx context.Context, name string) (glassq.Run, error) {
	g, _, err := runVerb.call(ctx, s, runArgs{Run: name}, false)
	return g.Run, err
}

// SetRun makes a run or changes it; see glassq.Runs.
func (s *Store) SetRun(ctx context.Context, name string, c glassq.RunChange) (glassq.Run, error) {
	g, _, err := setRunVerb.call(ctx, s, runArgs{Run: name, Change: c}, false)
	return g.Run, err
}

// RunIDs returns positions of a run; see glassq.Runs.
func (s *Store) RunIDs(ctx context.Context, name string, set glassq.IDSet, from uint32, most int) ([]glassq.Interval,
	error) {
	ids, _, err := runIDsVerb.call(ctx, s, runArgs{Run: name, Set: set, From: from, Most: most}, false)
	return ids, err
}

// AwaitRun waits until a run has reached a phase; see glassq.Runs.
func (s *Store) AwaitRun(ctx context.Context, name string, phase glassq.Phase, wait time.Duration) (glassq.Run, error) {
	g, _, err := awaitRunVerb.call(ctx, s, runArgs{Run: name, Phase: phase, Wait: wait}, false)
	return g.Run, err
}

// CancelRun ends the tasks of a run that nobody works on; see glassq.Runs.
func (s *Store) CancelRun(ctx context.Context, name string) (int, error) {
	n, _, err := cancelRunVerb.call(ctx, s, runArgs{Run: name}, true)
	return n, err
}

// Stats tells what the owner knows, or told last when it does not answer at once; see
// glassq.ClusterStats. Where there has been no owner for long the error has code unavailable.
func (s *Store) Stats(ctx context.Context) (stats glassq.Stats, err error) {
	if err := cmp.Or(s.refused(), s.lone()); err != nil {
		return stats, err
	}
	asOf := time.Now()
	r := s.serving()
	if r == nil {
		var ok bool
		stats, ok = s.ownersStats(ctx)
		s.mu.Lock()
		if told := s.stats; !ok {
			stats, asOf = told, s.toldAt
		} else if stats.Cluster == nil {
			stats.Cluster = told.Cluster // how the log is, which an engine does not know
		}
		s.mu.Unlock()
	} else {
		if stats, _, err = statsVerb.call(ctx, s, struct{}{}, false); err != nil {
			return stats, err
		}
		asOf = r.engine.Sole()
	}
	var c glassq.ClusterStats
	if stats.Cluster != nil {
		c = *stats.Cluster
	}
	c.Role, c.AsOf = glassq.RoleGateway, asOf
	s.mu.Lock()
	if r != nil && s.shownAt.After(asOf) {
		c.AsOf = s.shownAt
	}
	if r := s.reign; r != nil {
		c.Role = glassq.RoleOwner
		r.mu.Lock()
		c.Message, c.Replicas, c.InStep, c.Lag, c.Leader = r.sure.number, r.info.Replicas, r.info.InStep, r.info.Lag,
			r.info.Leader
		r.mu.Unlock()
	}
	c.Gateways = s.gateways()
	c.Gateway, c.Owner, c.Epoch, c.Message = s.name, s.owner, s.epoch, max(c.Message, s.high.number)
	s.mu.Unlock()
	stats.AnswersWait, stats.Cluster = true, &c
	if stats.Storage == "" {
		stats.Storage = glassq.StorageOK
	}
	return stats, nil
}

// ownersStats asks the owner, for a moment.
func (s *Store) ownersStats(ctx context.Context) (glassq.Stats, bool) {
	ctx, cancel := context.WithTimeout(ctx, statsFor)
	defer cancel()
	stats, _, err := statsVerb.call(ctx, s, struct{}{}, false)
	return stats, err == nil
}

// refused is why every call is refused, or nil.
func (s *Store) refused() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// lone is the error of a store that has had no owner for long, as far as this gateway has heard; or nil.
func (s *Store) lone() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.loneAt.IsZero() || time.Since(s.loneAt) < patience*s.opt.Beat {
		return nil
	}
	why := "see whether its NATS servers reach each other, or ask another gateway"
	if s.full != nil {
		why = s.full.Error()
	}
	return glassq.Errorf(glassq.CodeUnavailable, "this gateway has heard of no owner of the store for %v: %s",
		time.Since(s.loneAt).Round(time.Second), why)
}

// DropRun forgets a run; see glassq.Runs.
func (s *Store) DropRun(ctx context.Context, name string) error {
	_, _, err := dropRunVerb.call(ctx, s, runArgs{Run: name}, true)
	return err
}

// Schedules lists all schedules; see glassq.Schedules.
func (s *Store) Schedules(ctx context.Context) ([]glassq.Schedule, error) {
	list, _, err := schedulesVerb.call(ctx, s, struct{}{}, false)
	return list, err
}

// SetSchedule makes a schedule or changes it; see glassq.Schedules.
func (s *Store) SetSchedule(ctx context.Context, name string, c glassq.ScheduleChange) (glassq.Schedule, error) {
	x, _, err := setScheduleVerb.call(ctx, s, scheduleArgs{name, c}, false)
	return x, err
}

// DropSchedule forgets a schedule; see glassq.Schedules.
func (s *Store) DropSchedule(ctx context.Context, name string) error {
	_, _, err := dropScheduleVerb.call(ctx, s, scheduleArgs{Schedule: name}, true)
	return err
}
