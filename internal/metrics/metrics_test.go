package metrics_test

import (
	"context"
	"fmt"
	"io"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/broker"
	"github.com/glassq/glassq/internal/disk"
	"github.com/glassq/glassq/internal/live"
	"github.com/glassq/glassq/internal/metrics"
)

// worked is a store with something of everything in its books, and the Live before it.
func worked(t *testing.T) (broker.Store, *live.Live) {
	t.Helper()
	l := live.New(live.Options{})
	e, err := disk.Open(t.TempDir(), disk.Options{Synced: l.Synced})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	s := broker.Full(l.Over(e))
	ctx := live.WithCaller(t.Context(), live.Caller{Door: "http", Worker: "ann"})
	tasks := make([]glassq.Task, 5)
	for i := range tasks {
		tasks[i] = glassq.Task{Queue: "q", Body: []byte("x")}
	}
	if _, err := s.Put(ctx, tasks); err != nil {
		t.Fatal(err)
	}
	leases, err := s.Reserve(ctx, glassq.Reserve{Queue: "q", Max: 4})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Ack(ctx, []glassq.Ack{{Token: leases[0].Token()}, {Token: leases[1].Token(), Outcome: glassq.Failed},
		{Token: glassq.Token{Queue: "q", Number: 1 << 50}}}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Nack(ctx, []glassq.Nack{{Token: leases[2].Token(), Dead: true}}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.SetSchedule(ctx, "nightly", glassq.ScheduleChange{Cron: "30 2 * * *",
		Task: `{"queue":"q","body":1}`}); err != nil {
		t.Fatal(err)
	}
	return s, l
}

func scrape(t *testing.T, s metrics.Source, l *live.Live) string {
	t.Helper()
	rec := httptest.NewRecorder()
	metrics.Handler(s, l, func() (puts, bytes uint64) { return 3, 4 }).ServeHTTP(rec, httptest.NewRequest("GET", "/metrics", nil))
	body, _ := io.ReadAll(rec.Body)
	if rec.Code != 200 {
		t.Fatalf("GET /metrics = %d: %s", rec.Code, body)
	}
	return string(body)
}

func TestMetrics(t *testing.T) {
	s, l := worked(t)
	text := scrape(t, s, l)
	for _, want := range []string{
		`glassq_tasks_put_total{queue="q"} 5`,
		`glassq_tasks_acked_total{queue="q",state="ok"} 1`,
		`glassq_tasks_acked_total{queue="q",state="failed"} 1`,
		`glassq_tasks_handed_out_total{queue="q"} 4`,
		`glassq_tasks_handed_out_lag_seconds_total{queue="q"} 0`,
		`glassq_queue_tasks{queue="q",state="leased"} 1`,
		`glassq_queue_tasks{queue="q",state="dead"} 1`,
		`glassq_queue_books_difference_tasks{queue="q"} 0`,
		`glassq_answers_total{code="lease_lost",door="http"} 1`,
		`glassq_answers_total{code="ok",door="http"} 6`,
		`glassq_workers 1`,
		`glassq_leases_in_flight 1`,
		`glassq_put_duration_seconds_count 1`,
		`glassq_task_age_seconds_count 4`,
		`glassq_storage_state{state="ok"} 1`,
		`glassq_schedule_tasks_put_total{schedule="nightly"} 0`,
		`glassq_schedule_moments_missed_total{schedule="nightly"} 0`,
		`glassq_schedule_waiting{schedule="nightly"} 0`,
	} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("no line %s", want)
		}
	}
	if strings.Contains(text, "glassq_sync_duration_seconds_count 0\n") {
		t.Error("no sync was seen")
	}
	problems, err := promlint.New(strings.NewReader(text)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("promlint: %s: %s", p.Metric, p.Text)
	}
	if tool, err := exec.LookPath("promtool"); err == nil {
		cmd := exec.Command(tool, "check", "metrics")
		cmd.Stdin = strings.NewReader(text)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool check metrics: %v\n%s", err, out)
		}
	} else {
		t.Log("left out: promtool check metrics, promtool is not here")
	}
	label := regexp.MustCompile(`[{,](\w+)="`)
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "glassq_") {
			continue
		}
		for _, m := range label.FindAllStringSubmatch(line, -1) {
			if !slices.Contains([]string{"queue", "door", "reason", "code", "state", "schedule", "le"}, m[1]) {
				t.Errorf("label %s in %s", m[1], line)
			}
		}
	}
}

// manyQueues has as many queues as are asked for, and one named other.
type manyQueues struct{ n int }

func (m manyQueues) List(_ context.Context, ask glassq.QueueQuery) (l glassq.QueueList, err error) {
	q := glassq.QueueInfo{Ready: 1, Pending: 1, Books: glassq.Books{Put: 2},
		Keys: &glassq.KeyCounts{Waiting: 7, Held: 1, Full: 2, Paced: 1}}
	var keys glassq.KeyCounts
	for i := range m.n + 1 {
		if q.Name = fmt.Sprintf("a%06d", i); i == m.n {
			q.Name = "other"
		}
		if q.Name <= ask.After {
			continue
		}
		if len(l.Queues) < ask.Max {
			l.Queues = append(l.Queues, q)
		}
		l.Totals.Ready, l.Totals.Pending, l.Totals.Books.Put = l.Totals.Ready+1, l.Totals.Pending+1, l.Totals.Books.Put+2
		keys = glassq.KeyCounts{Waiting: keys.Waiting + 7, Held: keys.Held + 1, Full: keys.Full + 2, Paced: keys.Paced + 1}
		l.Totals.Keys = &keys
	}
	return l, nil
}

func (manyQueues) Schedules(context.Context) ([]glassq.Schedule, error) {
	return nil, glassq.ErrUnsupported
}

func (manyQueues) Stats(context.Context) (glassq.Stats, error) {
	return glassq.Stats{Storage: "ok"}, nil
}

func TestManyQueues(t *testing.T) {
	for _, tt := range []struct {
		name        string
		queues      int
		rows, other int
	}{
		{"few", 10, 11, 1},
		{"just as many as are shown", 999, 1000, 1},
		{"one more", 1000, 1001, 1},
		{"a hundred thousand", 100_000, 1001, 99_001},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := live.New(live.Options{})
			e, err := disk.Open("mem:", disk.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer e.Close()
			if _, err := l.Over(e).Put(t.Context(), []glassq.Task{{Queue: "other"}}); err != nil {
				t.Fatal(err)
			}
			if _, err := l.Over(e).Reserve(t.Context(), glassq.Reserve{Queue: "other", Max: 1}); err != nil {
				t.Fatal(err)
			}
			text := scrape(t, manyQueues{tt.queues}, l)
			if want := `glassq_tasks_handed_out_total{queue="other"} 1`; !strings.Contains(text, want) {
				t.Errorf("no line %s", want)
			}
			if n := strings.Count(text, `,state="ready"}`); n != tt.rows {
				t.Errorf("%d queues are shown as %d rows, want %d", tt.queues+1, n, tt.rows)
			}
			if want := fmt.Sprintf(`glassq_queue_tasks{queue="other",state="ready"} %d`, tt.other); !strings.Contains(text, want) {
				t.Errorf("no line %s", want)
			}
			for state, n := range map[string]int{"open": 3, "held": 1, "concurrency": 2, "rate": 1} {
				want := fmt.Sprintf(`glassq_queue_keys{queue="other",state="%s"} %d`, state, n*tt.other)
				if !strings.Contains(text, want) {
					t.Errorf("no line %s", want)
				}
			}
			if strings.Contains(text, `glassq_queue_books_difference_tasks{queue="other"} 0`) == false {
				t.Error("the books of the others do not fit")
			}
		})
	}
}

// failing is a store that does not answer.
type failing struct{ manyQueues }

func (failing) List(context.Context, glassq.QueueQuery) (l glassq.QueueList, err error) {
	return l, glassq.ErrClosed
}

func TestStoreGone(t *testing.T) {
	rec := httptest.NewRecorder()
	metrics.Handler(failing{}, live.New(live.Options{}), nil).ServeHTTP(rec, httptest.NewRequest("GET", "/metrics", nil))
	if rec.Code != 500 || !strings.Contains(rec.Body.String(), "the store does not answer") {
		t.Errorf("GET /metrics of a store that is closed = %d %q", rec.Code, rec.Body)
	}
}

// countingStore counts how often it is asked.
type countingStore struct {
	manyQueues
	asked *int
}

func (c countingStore) List(ctx context.Context, q glassq.QueueQuery) (glassq.QueueList, error) {
	*c.asked++
	return c.manyQueues.List(ctx, q)
}

// TestDeploy: the dashboard and the rules name metrics that there are, and the rules pass their
// tests.
func TestDeploy(t *testing.T) {
	s, l := worked(t)
	text := scrape(t, s, l)
	dir := filepath.Join("..", "..", "deploy")
	name := regexp.MustCompile(`glassq_\w+`)
	suffix := regexp.MustCompile(`_(bucket|count|sum)$`)
	for _, file := range []string{"grafana.json", "alerts.yaml"} {
		b, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			t.Fatal(err)
		}
		seen := 0
		for _, m := range name.FindAllString(string(b), -1) {
			seen++
			if !strings.Contains(text, "# TYPE "+m+" ") && !strings.Contains(text, "# TYPE "+suffix.ReplaceAllString(m, "")+" ") {
				t.Errorf("%s: there is no metric %s", file, m)
			}
		}
		if seen < 10 {
			t.Errorf("%s names %d metrics", file, seen)
		}
	}
	rules, err := os.ReadFile(filepath.Join(dir, "alerts.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(rules), "- alert:"); n != 10 {
		t.Errorf("%d alert rules, want 10", n)
	}
	tool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("left out: promtool is not here")
	}
	for _, args := range [][]string{{"check", "rules", "alerts.yaml"}, {"test", "rules", "alerts_test.yaml"}} {
		cmd := exec.Command(tool, args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %v: %v\n%s", args, err, out)
		}
	}
}

// TestOften: a scrape every moment asks the store once a second at most.
func TestOften(t *testing.T) {
	asked := 0
	h := metrics.Handler(countingStore{manyQueues{3}, &asked}, live.New(live.Options{}), nil)
	for range 50 {
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, httptest.NewRequest("GET", "/metrics", nil))
		if rec.Code != 200 {
			t.Fatalf("GET /metrics = %d", rec.Code)
		}
	}
	if asked > 10 { // each asks anew only when a second has passed
		t.Errorf("50 scrapes asked the store %d times", asked)
	}
}

// kept is a store that several machines keep.
type kept struct{ manyQueues }

func (kept) Stats(context.Context) (glassq.Stats, error) {
	return glassq.Stats{Storage: "ok", Cluster: &glassq.ClusterStats{Role: glassq.RoleGateway, Gateway: "b", Owner: "a",
		Epoch: 3, Replicas: 3, InStep: 2, Lag: 7, Leader: "n1", AsOf: time.UnixMilli(1500)}}, nil
}

func TestClusterMetrics(t *testing.T) {
	text := scrape(t, kept{}, live.New(live.Options{}))
	for _, want := range []string{
		`glassq_cluster_info{gateway="b",leader="n1",owner="a",role="gateway"} 1`,
		"glassq_cluster_epoch 3", "glassq_cluster_replicas 3", "glassq_cluster_replicas_in_step 2", "glassq_cluster_lag_messages 7",
		"glassq_cluster_as_of_timestamp_seconds 1.5",
	} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("no line %q", want)
		}
	}
}
