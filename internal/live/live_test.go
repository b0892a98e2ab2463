package live_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/audit"
	"github.com/glassq/glassq/internal/disk"
	"github.com/glassq/glassq/internal/live"
)

// watched is a store in memory with a Live before it, which is kept going for the test.
func watched(t testing.TB, opt live.Options) (*live.Live, glassq.Store) {
	t.Helper()
	l := live.New(opt)
	e, err := disk.Open("mem:", disk.Options{Synced: l.Synced, PutItself: l.PutItself})
	if err != nil {
		t.Fatal(err)
	}
	store := l.Over(e)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { l.Keep(ctx) })
	t.Cleanup(func() {
		cancel()
		wg.Wait()
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return l, store
}

func by(name string) context.Context {
	return live.WithCaller(context.Background(), live.Caller{Door: "http", Worker: name, Version: "v1"})
}

func put(t testing.TB, s glassq.Store, queue string, n int) {
	t.Helper()
	tasks := make([]glassq.Task, n)
	for i := range tasks {
		tasks[i] = glassq.Task{Queue: queue, Body: []byte("x")}
	}
	if _, err := s.Put(by("putter"), tasks); err != nil {
		t.Fatal(err)
	}
}

func reserve(t testing.TB, s glassq.Store, who, queue string, n int) []glassq.Lease {
	t.Helper()
	leases, err := s.Reserve(by(who), glassq.Reserve{Queue: queue, Max: n, Lease: 10 * time.Second})
	if err != nil || len(leases) != n {
		t.Fatalf("reserve %d of %s = %d, %v", n, queue, len(leases), err)
	}
	return leases
}

// TestGivenUp holds that a wait which ends with its request is no fault of the server.
func TestGivenUp(t *testing.T) {
	for _, tt := range []struct {
		name string
		end  func(context.Context) (context.Context, context.CancelFunc)
	}{
		{"out of time", func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, time.Second)
		}},
		{"cancelled", func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(ctx)
			time.AfterFunc(time.Second, cancel)
			return ctx, cancel
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, s := watched(t, live.Options{})
				ctx, cancel := tt.end(by("ann"))
				defer cancel()
				if _, err := s.Reserve(ctx, glassq.Reserve{Queue: "q", Max: 1, Wait: time.Minute}); err == nil {
					t.Fatal("reserve of an ended request has no error")
				}
				want := []live.Answers{{Door: "http", Code: string(glassq.CodeUnavailable), N: 1}}
				if got := l.Totals().Answers; !slices.Equal(got, want) {
					t.Errorf("answers %v, want %v", got, want)
				}
			})
		})
	}
}

func TestCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, s := watched(t, live.Options{})
		put(t, s, "q", 8)
		a := reserve(t, s, "ann", "q", 3)
		b := reserve(t, s, "bob", "q", 3)
		if _, err := s.Ack(by("ann"), []glassq.Ack{{Token: a[0].Token()}, {Token: a[1].Token(), Outcome: glassq.Failed,
			Result: &glassq.Task{Queue: "r", Body: []byte("{}")}}}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Nack(by("bob"), []glassq.Nack{{Token: b[0].Token(), Delay: glassq.AtOnce},
			{Token: b[1].Token(), Dead: true}}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Reserve(by("eve"), glassq.Reserve{Queue: "q", Max: 1, Take: true}); err != nil {
			t.Fatal(err)
		}
		want := live.Counts{Put: 8, Out: 7, OK: 2, Failed: 1, Back: 1}
		if got := l.Queue("q").Counts; got != want {
			t.Errorf("counts of q = %+v, want %+v", got, want)
		}
		if got := l.Counts()["r"].Put; got != 1 {
			t.Errorf("put of r = %d, want 1", got)
		}
		holders := l.Queue("q").Holders
		if len(holders) != 2 || holders[0].Name != "ann" || holders[0].Leases != 1 || holders[1].Name != "bob" {
			t.Errorf("holders = %+v, want ann and bob with one each", holders)
		}
		w, _, ok := l.Holder(b[2].Number)
		if !ok || w.Name != "bob" || w.Version != "v1" || w.Door != "http" || w.InFlight != 1 {
			t.Errorf("holder of bob's lease = %+v, %v", w, ok)
		}

		// The leases run out; nobody calls.
		time.Sleep(13 * time.Second)
		synctest.Wait()
		v := l.Queue("q")
		if v.Counts.Expired != 2 || v.Counts.Died != 1 || len(v.Holders) != 0 || v.Known != 0 {
			t.Errorf("after the leases ran out: %+v, want 2 expired, 1 died, no holders", v)
		}
		series, ok := l.QueueSeries("q", time.Minute)
		var sum, last live.Sample
		for _, x := range series.Samples {
			sum.Put, sum.Out, sum.Expired, sum.Died = sum.Put+x.Put, sum.Out+x.Out, sum.Expired+x.Expired, sum.Died+x.Died
			last = x
		}
		if !ok || sum.Put != 8 || sum.Out != 7 || sum.Expired != 2 || sum.Died != 1 {
			t.Errorf("series of q sums to %+v, %v", sum, ok)
		}
		if last.Ready != 4 || last.Dead != 1 || last.Leased != 0 {
			t.Errorf("the last sample = %+v, want 4 ready and 1 dead", last)
		}
		for _, span := range []time.Duration{time.Hour, 30 * time.Hour, 0} {
			if got := l.ServerSeries(span); len(got.Latencies) != len(got.Samples) {
				t.Errorf("server's series over %v: %d latencies, %d samples", span, len(got.Latencies), len(got.Samples))
			}
		}
	})
}

// TestExtend: a lease that is extended has not run out, and its worker was seen.
func TestExtend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, s := watched(t, live.Options{})
		put(t, s, "q", 1)
		d := reserve(t, s, "ann", "q", 1)
		for range 5 {
			time.Sleep(7 * time.Second)
			if errs, err := s.Extend(t.Context(), []glassq.Extend{{Token: d[0].Token()}}); err != nil || errs[0] != nil {
				t.Fatal(errs, err)
			}
		}
		synctest.Wait()
		v := l.Queue("q")
		if v.Counts.Expired != 0 || len(v.Holders) != 1 || time.Since(v.Holders[0].Seen) > time.Second {
			t.Errorf("after 5 extensions: %+v", v)
		}
	})
}

func TestEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, s := watched(t, live.Options{})
		from := l.LastEvent()
		put(t, s, "q", 1)
		d := reserve(t, s, "ann", "q", 1)
		if _, err := s.Nack(by("ann"), []glassq.Nack{{Token: d[0].Token(), Dead: true}}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.SetRun(by("ann"), "run", glassq.RunChange{Sealed: true}); err != nil {
			t.Fatal(err)
		}
		n, err := s.Redrive(by("eve"), "q", 0)
		if err != nil {
			t.Fatal(err)
		}
		l.Heard(by("eve"), &audit.Entry{Action: "redrive", Queue: "q", Count: int64(n)})
		first, lost, err := l.Events(t.Context(), from, 10)
		if err != nil || lost || len(first) != 1 || first[0].Kind != live.KindAction || first[0].Worker != "eve" ||
			first[0].Action != "redrive" || first[0].Count != 1 {
			t.Fatalf("events = %+v, lost %v, %v", first, lost, err)
		}
		tick, _, err := l.Events(t.Context(), first[0].ID, 1)
		if err != nil || len(tick) != 1 || tick[0].Kind != live.KindTick {
			t.Fatalf("the next event = %+v, %v; want a tick", tick, err)
		}
		if q := tick[0].Queues; len(q) != 1 || q[0].Name != "q" || q[0].Put != 1 || q[0].Ready != 1 {
			t.Errorf("queues of the tick = %+v", q)
		}
		if r := tick[0].Runs; len(r) != 1 || r[0].Name != "run" || !r[0].Complete {
			t.Errorf("runs of the tick = %+v", r)
		}
		if tick[0].About("other", "") || !tick[0].About("q", "") || !tick[0].About("", "run") {
			t.Error("About of the tick is wrong")
		}
		if only := tick[0].Only("q", ""); len(only.Queues) != 1 || len(only.Runs) != 0 {
			t.Errorf("Only(q) = %+v", only)
		}

		// Nothing happens: no event.
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if list, _, err := l.Events(ctx, l.LastEvent(), 1); err == nil {
			t.Errorf("an idle minute has the event %+v", list[0])
		}
	})
}

// TestWaited: how long tasks waited, and how late they are by the rate of their queue, is known by queue.
func TestWaited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, s := watched(t, live.Options{})
		rate, catchup := 0.1, 60.0
		if _, err := s.Configure(by("ann"), "q", glassq.SettingsChange{Rate: &rate, Catchup: &catchup}); err != nil {
			t.Fatal(err)
		}
		put(t, s, "q", 2)
		put(t, s, "other", 2)
		time.Sleep(30 * time.Second)
		reserve(t, s, "ann", "q", 2)
		reserve(t, s, "ann", "other", 2)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		q, other := l.Queue("q"), l.Queue("other")
		if q.Age != 30*time.Second || other.Age != 30*time.Second || other.Lag != 0 || q.Lag <= 0 || q.Lag > 30*time.Second {
			t.Errorf("q waited %v and is late by %v, the other %v and %v; want 30s, and only q late", q.Age, q.Lag, other.Age, other.Lag)
		}
		if q.Counts.Age != time.Minute || q.Counts.Lag != 2*q.Lag {
			t.Errorf("sums of q are %v and %v", q.Counts.Age, q.Counts.Lag)
		}
	})
}

// TestPutItself: what a store puts by itself, without a call, is seen as any put is.
func TestPutItself(t *testing.T) {
	ok := func(t *testing.T, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	ack := func(t *testing.T, s glassq.Store, queue string) {
		t.Helper()
		errs, err := s.Ack(by("ann"), []glassq.Ack{{Token: reserve(t, s, "ann", queue, 1)[0].Token()}})
		ok(t, errors.Join(append(errs, err)...))
	}
	hooked := func(t *testing.T, s glassq.Store, ttl time.Duration) {
		_, err := s.SetRun(by("ann"), "r", glassq.RunChange{OnEnd: `{"queue":"hooked"}`})
		ok(t, err)
		_, err = s.Put(by("ann"), []glassq.Task{{Queue: "q", Run: "r", TTL: ttl}})
		ok(t, err)
		_, err = s.SetRun(by("ann"), "r", glassq.RunChange{Sealed: true})
		ok(t, err)
	}
	for _, tt := range []struct {
		name  string
		make  func(*testing.T, glassq.Store)
		queue string
		want  uint64
	}{
		{"a schedule", func(t *testing.T, s glassq.Store) {
			_, err := s.(glassq.Schedules).SetSchedule(by("ann"), "s", glassq.ScheduleChange{Cron: "* * * * *",
				Task: `{"queue":"due","run":"r","body":"x"}`})
			ok(t, err)
		}, "due", 2},
		{"a hook", func(t *testing.T, s glassq.Store) {
			hooked(t, s, 0)
			ack(t, s, "q")
		}, "hooked", 1},
		{"a hook of a run whose task expires", func(t *testing.T, s glassq.Store) {
			hooked(t, s, 30*time.Second)
		}, "hooked", 1},
		{"a range", func(t *testing.T, s glassq.Store) {
			_, err := s.Put(by("ann"), []glassq.Task{{Queue: "ranged", Run: "r",
				Range: &glassq.Range{Count: 1000}, Dense: true, Body: []byte("x{0}")}})
			ok(t, err)
		}, "ranged", 1000},
		{"a range of an ack", func(t *testing.T, s glassq.Store) {
			put(t, s, "q", 1)
			errs, err := s.Ack(by("ann"), []glassq.Ack{{Token: reserve(t, s, "ann", "q", 1)[0].Token(), Put: []glassq.Task{
				{Queue: "ranged", Run: "r", Dense: true, Range: &glassq.Range{Count: 1000}, Body: []byte("x{0}")}}}})
			ok(t, errors.Join(append(errs, err)...))
		}, "ranged", 1000},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, s := watched(t, live.Options{})
				from := l.LastEvent()
				tt.make(t, s)
				time.Sleep(2*time.Minute + 10*time.Second)
				synctest.Wait()
				if got := l.Counts()[tt.queue].Put; got != tt.want {
					t.Errorf("put of %s = %d, want %d", tt.queue, got, tt.want)
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				list, _, err := l.Events(ctx, from, 1000)
				ok(t, err)
				var told uint64
				var run glassq.Run
				for _, e := range list {
					for _, q := range e.Queues {
						if q.Name == tt.queue {
							told += uint64(q.Put)
						}
					}
					for _, r := range e.Runs {
						if r.Name == "r" {
							run.Books = r.Books
						}
					}
				}
				if told != tt.want {
					t.Errorf("events tell of %d puts into %s, want %d", told, tt.queue, tt.want)
				}
				if now, err := s.Run(t.Context(), "r"); err != nil || run.Books != now.Books {
					t.Errorf("events tell %+v of the run, it is %+v, %v", run.Books, now.Books, err)
				}
			})
		})
	}
}

// TestKnownAtStart: what was there before is told of as it changes, though nobody calls.
func TestKnownAtStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := live.New(live.Options{})
		e, err := disk.Open("mem:", disk.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		if _, err := e.Put(t.Context(), []glassq.Task{{Queue: "q", Run: "r", TTL: time.Minute}}); err != nil {
			t.Fatal(err)
		}
		l.Over(e)
		ctx, stop := context.WithTimeout(t.Context(), 2*time.Minute)
		defer stop()
		from := l.LastEvent()
		l.Keep(ctx)
		list, _, err := l.Events(t.Context(), from, 1000)
		if err != nil {
			t.Fatal(err)
		}
		var books []glassq.Books
		for _, e := range list {
			for _, r := range e.Runs {
				books = append(books, r.Books)
			}
		}
		if n := len(books); n != 2 || books[0] != (glassq.Books{Put: 1}) || books[1].Dead.Expired != 1 {
			t.Errorf("events tell of books %+v, want one task put, then expired", books)
		}
	})
}

// TestHaltEvents: a halt is told once, and its end.
func TestHaltEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, s := watched(t, live.Options{})
		rule, no := "failed>0% of 1", false
		if _, err := s.Configure(t.Context(), "q", glassq.SettingsChange{Halt: &rule}); err != nil {
			t.Fatal(err)
		}
		from := l.LastEvent()
		put(t, s, "q", 2)
		d := reserve(t, s, "ann", "q", 1)
		if _, err := s.Nack(by("ann"), []glassq.Nack{{Token: d[0].Token(), Delay: time.Hour}}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		if _, err := s.Configure(by("ann"), "q", glassq.SettingsChange{Paused: &no}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		list, _, err := l.Events(t.Context(), from, 100)
		var halts []string
		for _, e := range list {
			if e.Kind == live.KindHalt && e.Queue == "q" {
				halts = append(halts, e.What)
			}
		}
		want := []string{"halted until somebody resumes it: 1 of the last 1 endings failed (failed>0% of 1)", ""}
		if err != nil || !slices.Equal(halts, want) {
			t.Errorf("events of halts = %q, %v; want %q", halts, err, want)
		}
	})
}

// TestKeyHaltEvents: a key that is halted is told once, whatever its probes do, and the end of all.
func TestKeyHaltEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, s := watched(t, live.Options{})
		change := glassq.SettingsChange{Halt: new("failed>0% of 1"), HaltPer: new(glassq.HaltPerKey), HaltResume: new(5.0)}
		if _, err := s.Configure(t.Context(), "q", change); err != nil {
			t.Fatal(err)
		}
		from := l.LastEvent()
		fail := func(key string) {
			if _, err := s.Put(by("ann"), []glassq.Task{{Queue: "q", Key: key}}); err != nil {
				t.Fatal(err)
			}
			d := reserve(t, s, "ann", "q", 1)
			if _, err := s.Nack(by("ann"), []glassq.Nack{{Token: d[0].Token(), Dead: true}}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Second)
		}
		fail("a")
		fail("a") // the probe
		fail("b")
		if _, err := s.Configure(by("ann"), "q", glassq.SettingsChange{Paused: new(false)}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		list, _, err := l.Events(t.Context(), from, 100)
		var halts []string
		for _, e := range list {
			if e.Kind == live.KindHalt && e.Queue == "q" {
				text, _, _ := strings.Cut(e.What, " halted, a probe")
				halts = append(halts, fmt.Sprint(e.Count, " ", text))
			}
		}
		want := []string{`1 key "a" is`, `2 2 keys are halted; the last, "b", is`, "0 "}
		if err != nil || !slices.Equal(halts, want) {
			t.Errorf("events of halts = %q, %v; want %q", halts, err, want)
		}
	})
}

// TestSlowReader: what is given up is told.
func TestSlowReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _ := watched(t, live.Options{})
		from := l.LastEvent()
		for i := range 20_000 {
			l.Heard(by("eve"), &audit.Entry{Action: "redrive", Queue: "q", Count: int64(i)})
		}
		list, lost, err := l.Events(t.Context(), from, 1)
		if err != nil || !lost || len(list) != 1 {
			t.Errorf("events of a slow reader = %d, lost %v, %v; want it told", len(list), lost, err)
		}
	})
}

func TestKept(t *testing.T) {
	file := filepath.Join(t.TempDir(), "charts")
	run := func(t *testing.T, look func(l *live.Live, s glassq.Store)) {
		synctest.Test(t, func(t *testing.T) {
			l, s := watched(t, live.Options{File: file})
			look(l, s)
		})
	}
	run(t, func(_ *live.Live, s glassq.Store) {
		put(t, s, "q", 5)
		time.Sleep(3 * time.Second)
		synctest.Wait()
	})
	sum := func(s live.Series) (n uint32) {
		for _, x := range s.Samples {
			n += x.Put
		}
		return n
	}
	run(t, func(l *live.Live, _ glassq.Store) {
		time.Sleep(3 * time.Second)
		q, ok := l.QueueSeries("q", time.Minute)
		if server := l.ServerSeries(time.Minute); !ok || sum(q) != 5 || sum(server) != 5 {
			t.Errorf("after a restart: %d of q (%v), %d of the server; want 5", sum(q), ok, sum(server))
		}
	})
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		make func() []byte
	}{
		{"empty", func() []byte { return nil }},
		{"cut", func() []byte { return whole[:len(whole)/2] }},
		{"flipped", func() []byte {
			b := append([]byte(nil), whole...)
			b[len(b)/2] ^= 1
			return b
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := os.WriteFile(file, tt.make(), 0o600); err != nil {
				t.Fatal(err)
			}
			run(t, func(l *live.Live, _ glassq.Store) {
				if _, ok := l.QueueSeries("q", time.Minute); ok {
					t.Error("a damaged file was taken in")
				}
			})
		})
	}
}

// TestBounds: more queues, workers and leases than are kept cost no more memory, and what is kept
// is right.
func TestBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, s := watched(t, live.Options{})
		for i := range 12_000 {
			put(t, s, fmt.Sprintf("q%d", i), 1)
			if i%1000 == 999 {
				time.Sleep(time.Second)
			}
			if _, err := s.Reserve(by(fmt.Sprintf("w%d", i)), glassq.Reserve{Queue: "q0", Max: 1}); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if n := len(l.Counts()); n > 10_000 {
			t.Errorf("%d queues are known, want at most 10,000", n)
		}
		if n := len(l.Workers(0)); n > 10_000 {
			t.Errorf("%d workers are known, want at most 10,000", n)
		}
		if got := l.Totals(); got.Counts.Put != 12_000 {
			t.Errorf("put = %d, want 12000", got.Counts.Put)
		}
		if n := l.RingBytes(); n > 20<<20 {
			t.Errorf("series take %d bytes, want at most 20 MiB", n)
		}
	})
}

// TestTogether has many call at once, for the race detector.
func TestTogether(t *testing.T) {
	l, s := watched(t, live.Options{})
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			who := fmt.Sprintf("w%d", i%3)
			for range 200 {
				put(t, s, "q", 4)
				leases, err := s.Reserve(by(who), glassq.Reserve{Queue: "q", Max: 4})
				if err != nil {
					t.Error(err)
					return
				}
				acks := make([]glassq.Ack, len(leases))
				for k := range leases {
					acks[k].Token = leases[k].Token()
				}
				if _, err := s.Ack(by(who), acks); err != nil {
					t.Error(err)
				}
				l.Workers(10)
				l.Totals()
				l.Queue("q")
			}
		})
	}
	wg.Wait()
	if c := l.Totals().Counts; c.Put != 6400 || c.Out != c.OK {
		t.Errorf("counts = %+v", c)
	}
	if n := l.Totals().InFlight; n != 0 {
		t.Errorf("%d leases are in flight, want none", n)
	}
}

func TestQuantile(t *testing.T) {
	var h live.Histogram
	if got := h.Quantile(.5); got != 0 {
		t.Errorf("median of none = %v", got)
	}
	h.Counts[3] = 100 // up to 100 µs, above 50 µs
	if got := h.Quantile(.5); got != 75*time.Microsecond {
		t.Errorf("median = %v, want 75µs", got)
	}
	h.Counts[len(h.Counts)-1] = 1000
	if got, want := h.Quantile(.99), live.Bounds()[len(live.Bounds())-1]; got != want {
		t.Errorf("p99 = %v, want %v", got, want)
	}
}

// BenchmarkLive is put, reserve and ack of batches through a store in memory, with and without a
// Live before it.
func BenchmarkLive(b *testing.B) {
	for _, tt := range []struct {
		name  string
		batch int
		live  bool
	}{{"one/without", 1, false}, {"one/with", 1, true}, {"hundred/without", 100, false}, {"hundred/with", 100, true}} {
		b.Run(tt.name, func(b *testing.B) {
			e, err := disk.Open("mem:", disk.Options{})
			if err != nil {
				b.Fatal(err)
			}
			defer e.Close()
			var s glassq.Store = e
			if tt.live {
				s = live.New(live.Options{}).Over(e)
			}
			ctx := by("w")
			tasks := make([]glassq.Task, tt.batch)
			for i := range tasks {
				tasks[i] = glassq.Task{Queue: "q", Body: make([]byte, 32), Run: "r"}
			}
			acks := make([]glassq.Ack, tt.batch)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Put(ctx, tasks); err != nil {
					b.Fatal(err)
				}
				leases, err := s.Reserve(ctx, glassq.Reserve{Queue: "q", Max: tt.batch})
				if err != nil || len(leases) != tt.batch {
					b.Fatal(len(leases), err)
				}
				for i := range leases {
					acks[i].Token = leases[i].Token()
				}
				if _, err := s.Ack(ctx, acks); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*tt.batch), "ns/task")
		})
	}
}
