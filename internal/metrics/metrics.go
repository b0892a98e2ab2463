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
	Queues(ctx context.Context, names ...string) ([]glassq.QueueInfo, error)
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
	queueOldest  = desc("queue_oldest_ready_seconds", "Time since the next task of the queue was put.", "queue")
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
	queues, err := c.store.Queues(ctx)
	if err != nil {
		return nil, err
	}
	stats, err := c.store.Stats(ctx)
	if err != nil {
		return nil, err
	}
	var p page
	counts := c.live.Counts()
	for _, q := range gather(queues, counts) {
		p.queue(&q)
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
	glassq.QueueInfo
	counts live.Counts
	paused int
	halted int
	keys   *glassq.KeyCounts // of its own; nil where none look at keys
}

// gather makes the rows of queues, which are in the order of their names.
func gather(queues []glassq.QueueInfo, counts map[string]live.Counts) []row {
	rows := make([]row, 0, min(len(queues), MaxQueues)+1)
	var rest *row
	if len(queues) > MaxQueues {
		// A queue of that very name is among the others: two of one name there cannot be.
		queues = slices.Clone(queues)
		if i := slices.IndexFunc(queues, func(q glassq.QueueInfo) bool { return q.Name == other }); i >= 0 {
			one := queues[i]
			queues = append(slices.Delete(queues, i, i+1), one)
		}
	}
	for i := range queues {
		q := row{QueueInfo: queues[i], counts: counts[queues[i].Name]}
		if q.Settings.Paused {
			q.paused = 1
		}
		if q.Halted.Now() {
			q.halted = 1
		}
		q.addKeys(q.Keys)
		switch {
		case i < MaxQueues:
			rows = append(rows, q)
		case rest == nil:
			q.Name = other
			rows = append(rows, q)
			rest = &rows[len(rows)-1]
		default:
			rest.add(&q)
		}
	}
	return rows
}

func (r *row) add(q *row) {
	r.Delayed, r.Ready, r.Leased, r.Dead = r.Delayed+q.Delayed, r.Ready+q.Ready, r.Leased+q.Leased, r.Dead+q.Dead
	r.Bytes, r.Waiters, r.paused = r.Bytes+q.Bytes, r.Waiters+q.Waiters, r.paused+q.paused
	r.halted += q.halted
	r.addKeys(q.keys)
	r.Oldest = max(r.Oldest, q.Oldest)
	r.Pending += q.Pending
	b, o := &r.Books, &q.Books
	b.Put, b.OK, b.Failed = b.Put+o.Put, b.OK+o.OK, b.Failed+o.Failed
	b.Dead.Expired, b.Dead.Purged = b.Dead.Expired+o.Dead.Expired, b.Dead.Purged+o.Dead.Purged
	b.Dead.Cancelled += o.Dead.Cancelled
	n, m := &r.counts, &q.counts
	n.Age, n.Lag = n.Age+m.Age, n.Lag+m.Lag
	n.Out, n.Back, n.Expired, n.Died = n.Out+m.Out, n.Back+m.Back, n.Expired+m.Expired, n.Died+m.Died
}

func (r *row) addKeys(k *glassq.KeyCounts) {
	if k == nil {
		return
	}
	if r.keys == nil {
		r.keys = &glassq.KeyCounts{}
	}
	r.keys.Waiting, r.keys.Held = r.keys.Waiting+k.Waiting, r.keys.Held+k.Held
	r.keys.Full, r.keys.Paced, r.keys.Halted = r.keys.Full+k.Full, r.keys.Paced+k.Paced, r.keys.Halted+k.Halted
}

func (p *page) queue(q *row) {
	for _, s := range []struct {
		state string
		n     int64
	}{{"delayed", q.Delayed}, {"ready", q.Ready}, {"leased", q.Leased}, {"dead", q.Dead}} {
		p.gauge(queueTasks, float64(s.n), q.Name, s.state)
	}
	p.gauge(queueBytes, float64(q.Bytes), q.Name)
	p.gauge(queueOldest, q.Oldest, q.Name)
	p.gauge(queueWaiters, float64(q.Waiters), q.Name)
	p.gauge(queuePaused, float64(q.paused), q.Name)
	p.gauge(queueHalted, float64(q.halted), q.Name)
	if k := q.keys; k != nil {
		p.gauge(queueKeys, float64(k.Waiting-k.Stopped()), q.Name, "open")
		p.gauge(queueKeys, float64(k.Held), q.Name, glassq.KeyHeld)
		p.gauge(queueKeys, float64(k.Halted), q.Name, glassq.KeyHalted)
		p.gauge(queueKeys, float64(k.Full), q.Name, glassq.KeyFull)
		p.gauge(queueKeys, float64(k.Paced), q.Name, glassq.KeyPaced)
	}
	p.gauge(queueOff, float64(q.Pending)-float64(q.Delayed+q.Ready+q.Leased), q.Name)
	p.counter(putTasks, q.Books.Put, q.Name)
	p.counter(ackedTasks, q.Books.OK, q.Name, "ok")
	p.counter(ackedTasks, q.Books.Failed, q.Name, "failed")
	p.counter(endedTasks, q.Books.Dead.Expired, q.Name, "expired")
	p.counter(endedTasks, q.Books.Dead.Purged, q.Name, "purged")
	p.counter(endedTasks, q.Books.Dead.Cancelled, q.Name, "cancelled")
	p.counter(deadTasks, q.counts.Died, q.Name)
	p.counter(handedTasks, q.counts.Out, q.Name)
	p.seconds(handedAge, q.counts.Age, q.Name)
	p.seconds(handedLag, q.counts.Lag, q.Name)
	p.counter(nackedTasks, q.counts.Back, q.Name)
	p.counter(expiredTasks, q.counts.Expired, q.Name)
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
