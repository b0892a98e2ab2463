package live

import (
	"context"
	"errors"
	"time"

	"github.com/glassq/glassq"
)

const (
	maxPolled = 1000 // queues asked for at a tick where nothing was called; and runs
	maxTold   = 1000 // queues in one event
	maxRunsIn = 100  // runs in one event
	saveEvery = time.Minute
)

// Keep looks once a second at what changed, and keeps the series over a restart, until ctx is done;
// then it keeps them for the last time. It is called once, after Over, and before the store is
// closed.
func (l *Live) Keep(ctx context.Context) {
	t := time.NewTicker(time.Second)
	defer t.Stop()
	saved := time.Now()
	for {
		select {
		case <-ctx.Done():
			l.save()
			return
		case now := <-t.C:
			l.tick(ctx, now)
			if now.Sub(saved) >= saveEvery {
				l.save()
				saved = time.Now()
			}
		}
	}
}

// know learns at the start which queues and runs hold tasks, up to maxQueues and maxRuns of them. It
// is called again where the store does not tell.
func (l *Live) know(ctx context.Context) {
	all, err := l.store.Queues(ctx)
	if err != nil {
		l.opt.Logger.Warn("queues not read", "err", err)
		return
	}
	runs, err := l.store.Runs(ctx)
	if err != nil && !errors.Is(err, glassq.ErrUnsupported) {
		l.opt.Logger.Warn("runs not read", "err", err)
		return
	}
	l.known = true
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	for i := range runs {
		if runs[i].Pending > 0 {
			l.runOf(runs[i].Name, now)
		}
	}
	for i := range all {
		if len(l.byName) == maxQueues {
			return
		}
		if info := &all[i]; info.Delayed+info.Ready+info.Leased+info.Dead > 0 {
			if q := l.queueOf(info.Name, now); q != nil {
				is := levels{info.Delayed, info.Ready, info.Leased, info.Dead}
				l.depth.move(q.levels, is)
				q.levels, q.paused, q.polled = is, info.Settings.Paused, true
			}
		}
	}
	l.knowsAll = true
}

// tick ends a second: it asks the store for the counters of what changed, adds to the series, and
// tells events.
func (l *Live) tick(ctx context.Context, now time.Time) {
	if !l.known {
		l.know(ctx)
	}
	l.mu.Lock()
	l.held.expire(l.secs(now), func(d leased) {
		q := l.let(d, now)
		l.total.Expired++
		if q != nil {
			q.n.Expired++
		}
	})
	l.ended()
	if now.Unix()%10 == 0 {
		l.forgetOld(now)
	}
	queues, runs := l.alsoBusy(l.touched), l.alsoGoing(l.moved)
	called := len(l.moved) // of runs
	l.touched, l.moved = nil, nil
	names := make([]string, len(queues))
	for i, q := range queues {
		q.touched, names[i] = false, q.name
	}
	runNames := make([]string, len(runs))
	for i, r := range runs {
		r.moved, runNames[i] = false, r.name
	}
	l.mu.Unlock()

	var held []glassq.Held
	if len(names) > 0 { // of all at once: another machine may have to be asked
		var err error
		if held, err = l.store.Held(ctx, names...); err != nil {
			l.again(queues, runs)
			return
		}
	}
	var told []RunNow
	for i, name := range runNames {
		r, err := l.store.Run(ctx, name)
		switch {
		case errors.Is(err, glassq.ErrNotFound), errors.Is(err, glassq.ErrUnsupported):
			continue // it was never made, or is forgotten
		case err != nil:
			l.again(queues, runs)
			return
		}
		is := RunNow{r.Name, r.Queue, r.Books, r.Pending, r.Waiting, r.Sealed, r.Complete}
		l.mu.Lock()
		if l.reachRun(runs[i], r.Results, is, i < called, now) && len(told) < maxRunsIn {
			runs[i].told = is
			told = append(told, is)
		}
		l.mu.Unlock()
	}
	stats, err := l.store.Stats(ctx)
	if err != nil {
		l.again(queues, runs)
		return
	}

	l.mu.Lock()
	var dead, halts []*Event
	e := &Event{Time: now.UTC(), Kind: KindTick, Runs: told}
	for i, q := range queues {
		if l.byName[q.name] != q {
			continue // forgotten meanwhile
		}
		died, changed := l.reach(q, &held[i], now.Unix())
		if died > 0 {
			dead = append(dead, &Event{Time: now.UTC(), Kind: KindDead, Queue: q.name, Count: died})
		}
		if why := held[i].Halted.String(); why != q.halted {
			q.halted = why
			halts = append(halts, &Event{Time: now.UTC(), Kind: KindHalt, Queue: q.name, What: why})
		}
		keys, was := held[i].HaltedKeys, q.haltedKeys
		if keys.Count != was.Count || keys.Last != was.Last || !keys.Halted.Since.Equal(was.Halted.Since) {
			q.haltedKeys = keys
			halts = append(halts, &Event{Time: now.UTC(), Kind: KindHalt, Queue: q.name, Count: keys.Count, What: keys.String()})
		}
		if changed != nil && len(e.Queues) < maxTold {
			e.Queues = append(e.Queues, *changed)
		}
	}
	s := l.total.since(&l.before)
	l.before = l.total
	s.Delayed, s.Ready, s.Leased, s.Dead = small(l.depth.delayed), small(l.depth.ready), small(l.depth.leased),
		small(l.depth.dead)
	lat := l.dur.since(&l.durThen)
	l.durThen = l.dur
	for _, r := range l.server {
		r.add(now.Unix(), &s, &lat)
	}
	server := nowOf(&s, l.depth)
	e.Server = &server
	was := l.storage
	l.storage = stats.Storage
	l.mu.Unlock()

	if len(e.Queues)+len(e.Runs) > 0 {
		l.events.tell(e)
	}
	for _, d := range append(halts, dead...) {
		l.events.tell(d)
	}
	if stats.Storage != was && (was != "" || stats.Storage != glassq.StorageOK) {
		l.events.tell(&Event{Time: now.UTC(), Kind: KindStorage, Storage: stats.Storage})
	}
}

// again has the next tick look at what a store did not tell, which is at another machine and may
// answer then, or has stopped.
func (l *Live) again(queues []*queue, runs []*run) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, q := range queues {
		if !q.touched && l.byName[q.name] == q {
			q.touched = true
			l.touched = append(l.touched, q)
		}
	}
	for _, r := range runs {
		if !r.moved && l.runs.all[r.index] == r {
			r.moved = true
			l.moved = append(l.moved, r)
		}
	}
}

// alsoBusy adds queues that hold tasks to those that were called: a delay ends, a lease and a ttl
// run out without a call. When there are many, each has its turn. The caller holds mu.
func (l *Live) alsoBusy(queues []*queue) []*queue {
	in := len(l.busy)
	for range min(in, maxPolled) {
		q := l.busy[0]
		l.busy[0] = nil
		l.busy = l.busy[1:]
		if q.busy = q.busy && l.byName[q.name] == q && q.levels.delayed+q.levels.ready+q.levels.leased > 0; !q.busy {
			continue
		}
		l.busy = append(l.busy, q)
		if !q.touched {
			queues = append(queues, q)
		}
	}
	return queues
}

// alsoGoing is alsoBusy of runs.
func (l *Live) alsoGoing(runs []*run) []*run {
	for range min(len(l.going), maxPolled) {
		r := l.going[0]
		l.going[0] = nil
		l.going = l.going[1:]
		if l.runs.all[r.index] != r {
			continue // forgotten
		}
		r.going = false // until it is seen that it still does
		if !r.moved {
			runs = append(runs, r)
		}
	}
	return runs
}

// reachRun notes what a run is now, and reports whether that is to be told: something was called, or
// its books are not what was told. The caller holds mu.
func (l *Live) reachRun(r *run, results string, is RunNow, called bool, now time.Time) bool {
	r.results = results
	changed := r.told != is
	if changed {
		r.at = l.secs(now)
	}
	if !r.going && is.Pending > 0 {
		r.going = true
		l.going = append(l.going, r)
	}
	return called || changed
}

// reach notes what q holds now and what happened to it in this second. changed is nil when that is
// nothing.
func (l *Live) reach(q *queue, held *glassq.Held, now int64) (died int64, changed *QueueNow) {
	was := q.levels
	is := levels{held.Delayed, held.Ready, held.Leased, held.Dead}
	l.depth.move(was, is)
	if q.polled && is.dead > was.dead {
		died = is.dead - was.dead
		q.n.Died += uint64(died)
		l.total.Died += uint64(died)
	}
	same := q.polled && was == is && q.n == q.before && q.paused == held.Settings.Paused
	q.levels, q.paused, q.polled = is, held.Settings.Paused, true
	if !q.busy && is.delayed+is.ready+is.leased > 0 {
		q.busy = true
		l.busy = append(l.busy, q)
	}
	if same {
		return 0, nil
	}
	if out := time.Duration(q.n.Out - q.before.Out); out > 0 {
		q.age, q.lag = (q.n.Age-q.before.Age)/out, (q.n.Lag-q.before.Lag)/out
	}
	s := q.n.since(&q.before)
	q.before = q.n
	s.Delayed, s.Ready, s.Leased, s.Dead = small(is.delayed), small(is.ready), small(is.leased), small(is.dead)
	l.giveRings(q)
	for _, rings := range [][]*ring{q.active, q.rest} {
		for _, r := range rings {
			r.add(now, &s, nil)
		}
	}
	return died, &QueueNow{q.name, held.Settings.Paused, nowOf(&s, is)}
}

func nowOf(s *Sample, d levels) Now {
	return Now{s.Put, s.Out, s.OK, s.Failed, s.Back, s.Expired, s.Died, d.delayed, d.ready, d.leased, d.dead}
}

// since is what c has beyond what it had before.
func (c *Counts) since(before *Counts) Sample {
	return Sample{Put: small(c.Put - before.Put), Out: small(c.Out - before.Out), OK: small(c.OK - before.OK),
		Failed: small(c.Failed - before.Failed), Back: small(c.Back - before.Back),
		Expired: small(c.Expired - before.Expired), Died: small(c.Died - before.Died)}
}

func (d *Durations) since(before *Durations) Latencies {
	put, reserve, ack := d.Put.Since(&before.Put), d.Reserve.Since(&before.Reserve), d.Ack.Since(&before.Ack)
	sync, age, lag := d.Sync.Since(&before.Sync), d.Age.Since(&before.Age), d.Lag.Since(&before.Lag)
	q := func(h *Histogram, of float64) float32 { return float32(h.Quantile(of).Seconds()) }
	return Latencies{q(&put, .5), q(&put, .99), q(&reserve, .99), q(&ack, .99), q(&sync, .99), q(&age, .5), q(&age, .99),
		q(&lag, .99)}
}

// PutItself notes a task that the store put without a call, for a schedule or as a hook; run is ""
// for none. The store calls it.
func (l *Live) PutItself(queue, run string) {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stored([]glassq.Task{{Queue: queue, Run: run}}, nil, now)
}

// Synced notes how long a sync of the log took. The log calls it.
func (l *Live) Synced(took time.Duration) {
	l.mu.Lock()
	l.dur.Sync.add(took)
	l.mu.Unlock()
}
