// Package metrics shows a store to Prometheus: what its books and its storage say, and what
// internal/live has counted.
//
// Names and units follow the conventions of Prometheus. Labels are queue, door, reason, code and
// state, and nothing else. At most MaxQueues queues are shown by name, the others together as
// "other". The package knows no key: its Handler is for a door that asked for it.
package metrics

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/live"
)

const (
	// MaxQueues are shown by name: the first by name, so that they stay the same.
	MaxQueues = 1000
	// other is the queue label of the rest.
	other = "other"

	// fresh is how long an answer is given again: however often somebody asks, the store is asked
	// once in that time.
	fresh = time.Second
	// patience is the longest that the store may take.
	patience = 10 * time.Second
)

// A Source is the store that is shown.
type Source interface {
	glassq.Lister
	Stats(ctx context.Context) (glassq.Stats, error)
	Schedules(ctx context.Context) ([]glassq.Schedule, error)
}

// Handler answers with the metrics of store and l, in the form that the client asks for. refused
// counts the puts that the rates of tokens refused, and is nil where nobody counts them. It is safe
// for concurrent use.
func Handler(store Source, l *live.Live, refused func() (puts, bytes uint64)) http.Handler {
	r := prometheus.NewRegistry()
	r.MustRegister(&collector{store: store, live: l, refused: refused},
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		collectors.NewGoCollector(collectors.WithGoCollectorMemStatsMetricsDisabled())) // goroutines, above all
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{ErrorHandling: promhttp.HTTPErrorOnError})
}

// A collector makes the metrics anew for each scrape, at most once in fresh.
type collector struct {
	store Source
	live  *live.Live

	refused func() (puts, bytes uint64) // nil for nobody

	mu   sync.Mutex // guards what follows; held while the store is asked
	at   time.Time
	last []prometheus.Metric
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("glassq_"+name, help, labels, nil)
}

var (
	queueTasks   = desc("queue_tasks", "Tasks that the queue holds, by state.", "queue", "state")
	queueBytes   = desc("queue_bytes", "Bytes of the tasks that the queue holds.", "queue")
	queueOldest  = desc("queue_oldest_ready_seconds", "Time since the oldest ready task of the queue was put.", "queue")
	queueWaiters = desc("queue_waiting_reserves", "Calls that wait for a task of the queue.", "queue")
	queuePaused  = desc("queue_paused", "1 where the queue hands out nothing.", "queue")
	queueHalted  = desc("queue_halted", "1 where hand-outs pause because too many tasks failed.", "queue")
	queueKeys    = desc("queue_keys", "Keys of ready tasks in a queue that looks at keys, by what stops them; open for nothing.",
		"queue", "state")
	queueOff = desc("queue_books_difference_tasks",
		"Tasks by which the books of the queue do not fit what it holds: 0, or a bug.", "queue")
	putTasks    = desc("tasks_put_total", "Tasks put, results among them.", "queue")
	ackedTasks  = desc("tasks_acked_total", "Tasks acked, by outcome.", "queue", "state")
	endedTasks  = desc("tasks_ended_total", "Tasks that ended without an ack and were not kept, by reason.", "queue", "reason")
	deadTasks   = desc("tasks_died_total", "Tasks that came to be dead and are kept, since the server began.", "queue")
	handedTasks = desc("tasks_handed_out_total", "Tasks handed out since the server began.", "queue")
	handedAge   = desc("tasks_handed_out_age_seconds_total", "Time between ready and hand-out, summed over the tasks handed out.", "queue")
	handedLag   = desc("tasks_handed_out_lag_seconds_total",
		"Time between due, by the rate of the queue, and hand-out, summed over the tasks handed out.", "queue")
	nackedTasks  = desc("tasks_nacked_total", "Tasks given back since the server began.", "queue")
	expiredTasks = desc("leases_expired_total", "Leases that ran out since the server began.", "queue")

	answers     = desc("answers_total", "Answers since the server began; each item of an ack, nack or extend is one.", "door", "code")
	refusedPuts = desc("token_refused_puts_total", "Puts refused for the rate of a token since the server began, by rate.", "reason")

	workers   = desc("workers", "Workers that were seen within the last minute.")
	inFlight  = desc("leases_in_flight", "Live leases.")
	waiting   = desc("waiting_reserves", "Calls that wait for a task.")
	heldTasks = desc("tasks_held", "Tasks held, dead ones included.")

	putTime     = desc("put_duration_seconds", "How long puts took, their commit included.")
	reserveTime = desc("reserve_duration_seconds", "How long reserves took for which a task was there.")
	ackTime     = desc("ack_duration_seconds", "How long acks took, their commit included.")
	syncTime    = desc("sync_duration_seconds", "How long syncs of the log took.")
	ageTime     = desc("task_age_seconds", "Time between ready and hand-out.")
	lagTime     = desc("task_lag_seconds", "Time between due, by the rate of the queue, and hand-out.")

	scheduledTasks = desc("schedule_tasks_put_total", "Due moments of the schedule that had their tasks.", "schedule")
	missedMoments  = desc("schedule_moments_missed_total", "Due moments of the schedule that had no task.", "schedule")
	scheduleLast   = desc("schedule_last_timestamp_seconds", "The last due moment that is done with.", "schedule")
	scheduleNext   = desc("schedule_next_timestamp_seconds", "The next due moment; absent while it is paused.", "schedule")
	scheduleWaits  = desc("schedule_waiting", "1 where a moment is due and its task finds no room.", "schedule")

	clusterInfo = desc("cluster_info", "1; of a store that several machines keep: this gateway, its role, and who owns and leads.",
		"gateway", "role", "owner", "leader")
	clusterEpoch    = desc("cluster_epoch", "How often the store had another owner.")
	clusterReplicas = desc("cluster_replicas", "Machines that keep the log.")
	clusterInStep   = desc("cluster_replicas_in_step", "Those of them that are not behind.")
	clusterLag      = desc("cluster_lag_messages", "Messages of the log that the last of them is behind.")
	clusterAsOf     = desc("cluster_as_of_timestamp_seconds", "When the owner told its figures.")

	storageState = desc("storage_state", "1 for what the storage is.", "state")
	storageFree  = desc("storage_free_bytes", "Bytes that the disk has left.")
	storageMin   = desc("storage_min_free_bytes", "Bytes that are to stay free; below, puts are refused.")
	logBytes     = desc("log_bytes", "Bytes in the files of the log.")
	logLive      = desc("log_live_bytes", "Bytes of the log that are records of tasks held.")
	logWritten   = desc("log_written_bytes_total", "Bytes written to the log since the server began.")
	logCommits   = desc("log_commits_total", "Group commits since the server began.")
	logSyncs     = desc("log_syncs_total", "Syncs of the log since the server began.")
	started      = desc("start_time_seconds", "When the server began, in seconds since 1970.")
)

// Describe names nothing: queues come and go. The names are checked when they are collected.
func (c *collector) Describe(chan<- *prometheus.Desc) {}

// Collect sends the metrics. Where the store does not answer, the scrape fails.
func (c *collector) Collect(to chan<- prometheus.Metric) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.last == nil || time.Since(c.at) >= fresh {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		var err error
		if c.last, err = c.collect(ctx); err != nil {
			to <- prometheus.NewInvalidMetric(desc("up", "The store answers."), fmt.Errorf("the store does not answer: %w", err))
			return
		}
		c.at = time.Now()
	}
	for _, m := range c.last {
		to <- m
	}
}

// A page is metrics that are being made.
type page []prometheus.Metric

func (p *page) gauge(d *prometheus.Desc, v float64, labels ...string) {
	*p = append(*p, prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...))
}

func (p *page) counter(d *prometheus.Desc, v uint64, labels ...string) {
	*p = append(*p, prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...))
}

func (p *page) seconds(d *prometheus.Desc, t time.Duration, labels ...string) {
	*p = append(*p, prometheus.MustNewConstMetric(d, prometheus.CounterValue, t.Seconds(), labels...))
}

func (p *page) histogram(d *prometheus.Desc, h *live.Histogram) {
	buckets, sum := make(map[float64]uint64, len(live.Bounds())), uint64(0)
	for i, b := range live.Bounds() {
		sum += h.Counts[i]
		buckets[b.Seconds()] = sum
	}
	*p = append(*p, prometheus.MustNewConstHistogram(d, h.Count(), h.Sum.Seconds(), buckets))
}

func (c *collector) collect(ctx context.Context) (page, error) {
	rows, err := c.rows(ctx)
	if err != nil {
		return nil, err
	}
	stats, err := c.store.Stats(ctx)
	if err != nil {
		return nil, err
	}
	var p page
	for i := range rows {
		p.queue(&rows[i])
	}
	p.server(&stats, c.live)
	schedules, err := c.store.Schedules(ctx)
	if err != nil && !errors.Is(err, glassq.ErrUnsupported) {
		return nil, err
	}
	for i := range schedules {
		p.schedule(&schedules[i])
	}
	if c.refused != nil {
		puts, bytes := c.refused()
		p.counter(refusedPuts, puts, "puts")
		p.counter(refusedPuts, bytes, "bytes")
	}
	return p, nil
}

// A row is one queue as it is shown, or the others together.
type row struct {
	glassq.QueueTotals
	name   string
	oldest float64
	counts live.Counts
}

// rows are the queues in the order of their names, up to MaxQueues, and the others together.
func (c *collector) rows(ctx context.Context) ([]row, error) {
	l, err := c.store.List(ctx, glassq.QueueQuery{Max: MaxQueues + 1})
	if err != nil {
		return nil, err
	}
	counts := c.live.Counts()
	shown := l.Queues
	var rest *row
	if len(shown) > MaxQueues {
		// A queue of that very name is among the others: two of one name there cannot be.
		rest = &row{name: other}
		if i := slices.IndexFunc(shown[:MaxQueues], func(q glassq.QueueInfo) bool { return q.Name == other }); i >= 0 {
			one := rowOf(&shown[i], counts)
			rest = &one
			shown = slices.Delete(shown, i, i+1)
			delete(counts, other)
		}
		shown = shown[:MaxQueues]
		l, err = c.store.List(ctx, glassq.QueueQuery{After: shown[MaxQueues-1].Name, Sort: glassq.SortOldest, Max: 1})
		if err != nil {
			return nil, err
		}
		rest.add(&l.Totals)
		for i := range l.Queues {
			rest.oldest = max(rest.oldest, l.Queues[i].Oldest)
		}
	}
	rows := make([]row, 0, len(shown)+1)
	for i := range shown {
		rows = append(rows, rowOf(&shown[i], counts))
		delete(counts, shown[i].Name)
	}
	if rest == nil {
		return rows, nil
	}
	for _, n := range counts {
		rest.count(n)
	}
	return append(rows, *rest), nil
}

func rowOf(q *glassq.QueueInfo, counts map[string]live.Counts) row {
	r := row{name: q.Name, oldest: q.Oldest, counts: counts[q.Name]}
	r.add(&glassq.QueueTotals{Delayed: q.Delayed, Ready: q.Ready, Leased: q.Leased, Dead: q.Dead, Bytes: q.Bytes,
		Waiters: q.Waiters, Pending: q.Pending, Books: q.Books, Keys: q.Keys})
	if q.Settings.Paused {
		r.Paused = 1
	}
	if q.Halted.Now() {
		r.Halted = 1
	}
	return r
}

func (r *row) add(t *glassq.QueueTotals) {
	r.Delayed, r.Ready, r.Leased, r.Dead = r.Delayed+t.Delayed, r.Ready+t.Ready, r.Leased+t.Leased, r.Dead+t.Dead
	r.Bytes, r.Waiters, r.Paused, r.Halted = r.Bytes+t.Bytes, r.Waiters+t.Waiters, r.Paused+t.Paused, r.Halted+t.Halted
	r.Pending += t.Pending
	b, o := &r.Books, &t.Books
	b.Put, b.OK, b.Failed = b.Put+o.Put, b.OK+o.OK, b.Failed+o.Failed
	b.Dead.Expired, b.Dead.Purged = b.Dead.Expired+o.Dead.Expired, b.Dead.Purged+o.Dead.Purged
	b.Dead.Cancelled += o.Dead.Cancelled
	if k := t.Keys; k != nil {
		if r.Keys == nil {
			r.Keys = &glassq.KeyCounts{}
		}
		r.Keys.Waiting, r.Keys.Held = r.Keys.Waiting+k.Waiting, r.Keys.Held+k.Held
		r.Keys.Full, r.Keys.Paced, r.Keys.Halted = r.Keys.Full+k.Full, r.Keys.Paced+k.Paced, r.Keys.Halted+k.Halted
	}
}

func (r *row) count(m live.Counts) {
	n := &r.counts
	n.Age, n.Lag = n.Age+m.Age, n.Lag+m.Lag
	n.Out, n.Back, n.Expired, n.Died = n.Out+m.Out, n.Back+m.Back, n.Expired+m.Expired, n.Died+m.Died
}

func (p *page) queue(q *row) {
	for _, s := range []struct {
		state string
		n     int64
	}{{"delayed", q.Delayed}, {"ready", q.Ready}, {"leased", q.Leased}, {"dead", q.Dead}} {
		p.gauge(queueTasks, float64(s.n), q.name, s.state)
	}
	p.gauge(queueBytes, float64(q.Bytes), q.name)
	p.gauge(queueOldest, q.oldest, q.name)
	p.gauge(queueWaiters, float64(q.Waiters), q.name)
	p.gauge(queuePaused, float64(q.Paused), q.name)
	p.gauge(queueHalted, float64(q.Halted), q.name)
	if k := q.Keys; k != nil {
		p.gauge(queueKeys, float64(k.Waiting-k.Stopped()), q.name, "open")
		p.gauge(queueKeys, float64(k.Held), q.name, glassq.KeyHeld)
		p.gauge(queueKeys, float64(k.Halted), q.name, glassq.KeyHalted)
		p.gauge(queueKeys, float64(k.Full), q.name, glassq.KeyFull)
		p.gauge(queueKeys, float64(k.Paced), q.name, glassq.KeyPaced)
	}
	p.gauge(queueOff, float64(q.Pending)-float64(q.Delayed+q.Ready+q.Leased), q.name)
	p.counter(putTasks, q.Books.Put, q.name)
	p.counter(ackedTasks, q.Books.OK, q.name, "ok")
	p.counter(ackedTasks, q.Books.Failed, q.name, "failed")
	p.counter(endedTasks, q.Books.Dead.Expired, q.name, "expired")
	p.counter(endedTasks, q.Books.Dead.Purged, q.name, "purged")
	p.counter(endedTasks, q.Books.Dead.Cancelled, q.name, "cancelled")
	p.counter(deadTasks, q.counts.Died, q.name)
	p.counter(handedTasks, q.counts.Out, q.name)
	p.seconds(handedAge, q.counts.Age, q.name)
	p.seconds(handedLag, q.counts.Lag, q.name)
	p.counter(nackedTasks, q.counts.Back, q.name)
	p.counter(expiredTasks, q.counts.Expired, q.name)
}

func (p *page) schedule(s *glassq.Schedule) {
	p.counter(scheduledTasks, s.Puts, s.Name)
	p.counter(missedMoments, s.Lost, s.Name)
	if !s.Last.IsZero() {
		p.gauge(scheduleLast, float64(s.Last.Unix()), s.Name)
	}
	if !s.Next.IsZero() {
		p.gauge(scheduleNext, float64(s.Next.Unix()), s.Name)
	}
	waits := 0.0
	if s.Waits != "" {
		waits = 1
	}
	p.gauge(scheduleWaits, waits, s.Name)
}

func (p *page) server(s *glassq.Stats, l *live.Live) {
	t := l.Totals()
	for _, a := range t.Answers {
		door := a.Door
		if door == "" {
			door = "inside"
		}
		p.counter(answers, a.N, door, a.Code)
	}
	p.gauge(workers, float64(t.Working))
	p.gauge(inFlight, float64(s.Leases))
	p.gauge(waiting, float64(s.Waiters))
	p.gauge(heldTasks, float64(s.Tasks))
	d := &t.Durations
	p.histogram(putTime, &d.Put)
	p.histogram(reserveTime, &d.Reserve)
	p.histogram(ackTime, &d.Ack)
	p.histogram(syncTime, &d.Sync)
	p.histogram(ageTime, &d.Age)
	p.histogram(lagTime, &d.Lag)
	for _, state := range []string{glassq.StorageOK, glassq.StorageLow, glassq.StorageFull} {
		is := 0.0
		if s.Storage == state {
			is = 1
		}
		p.gauge(storageState, is, state)
	}
	p.gauge(logLive, float64(s.LiveBytes))
	p.counter(logWritten, s.Bytes)
	p.counter(logCommits, s.Frames)
	p.gauge(started, float64(t.Since.UnixMilli())/1000)
	if c := s.Cluster; c != nil {
		p.gauge(clusterInfo, 1, c.Gateway, c.Role, c.Owner, c.Leader)
		p.gauge(clusterEpoch, float64(c.Epoch))
		p.gauge(clusterReplicas, float64(c.Replicas))
		p.gauge(clusterInStep, float64(c.InStep))
		p.gauge(clusterLag, float64(c.Lag))
		if !c.AsOf.IsZero() {
			p.gauge(clusterAsOf, float64(c.AsOf.UnixMilli())/1000)
		}
	}
	if s.Disk == nil {
		return
	}
	if s.Disk.Free > 0 {
		p.gauge(storageFree, float64(s.Disk.Free))
		p.gauge(storageMin, float64(s.Disk.MinFree))
	}
	p.gauge(logBytes, float64(s.Disk.Bytes))
	p.counter(logSyncs, s.Disk.Syncs)
}
