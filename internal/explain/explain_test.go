package explain_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/broker"
	"github.com/glassq/glassq/internal/disk"
	"github.com/glassq/glassq/internal/explain"
	"github.com/glassq/glassq/internal/live"
)

// A world is a store with everything before it, in fake time.
type world struct {
	*testing.T
	*broker.Broker
	*explain.Explainer
	ctx      context.Context
	wg       sync.WaitGroup
	stopping bool
}

func newWorld(t *testing.T, opt disk.Options) *world {
	t.Helper()
	l := live.New(live.Options{})
	dir := "mem:"
	if opt.MinFree != (disk.Watermark{}) {
		dir = t.TempDir()
	}
	e, err := disk.Open(dir, opt)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{T: t, Broker: broker.New(l.Over(e), glassq.Limits{})}
	w.Explainer = &explain.Explainer{Store: w.Broker, Live: l, Stopping: func() bool { return w.stopping }}
	ctx, cancel := context.WithCancel(context.Background())
	w.ctx = ctx
	w.wg.Go(func() { l.Keep(ctx) })
	t.Cleanup(func() {
		cancel()
		w.wg.Wait()
		e.Close()
	})
	return w
}

func (w *world) as(name string) context.Context {
	return live.WithCaller(w.ctx, live.Caller{Door: "http", Worker: name})
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) put(tasks ...glassq.Task) {
	w.Helper()
	for i := range tasks {
		tasks[i].Queue, tasks[i].Body = "q", []byte("x")
	}
	_, err := w.Put(w.ctx, tasks)
	w.must(err)
}

func (w *world) reserve(who string, n int, lease time.Duration) []glassq.Lease {
	w.Helper()
	leases, err := w.Reserve(w.as(who), glassq.Reserve{Queue: "q", Max: n, Lease: lease})
	w.must(err)
	return leases
}

func (w *world) set(queue string, c glassq.SettingsChange) {
	w.Helper()
	_, err := w.Configure(w.ctx, queue, c)
	w.must(err)
}

func (w *world) ack(l glassq.Lease, body string) {
	w.Helper()
	result := &glassq.Task{Body: []byte(body), Type: glassq.TypeJSON}
	errs, err := w.Ack(w.ctx, []glassq.Ack{{Token: l.Token(), Result: result}})
	w.must(errors.Join(append(errs, err)...))
}

func ptr[T any](v T) *T { return &v }

type causeTest struct {
	name  string
	opt   disk.Options
	make  func(w *world)
	run   string // "" explains the queue q
	cause string
	text  string // in the text of that cause
}

// TestCauses makes each cause real, and wants it named, with what it is about.
func TestCauses(t *testing.T) {
	noRoom := disk.Watermark{Bytes: 100_000 << 30}
	tests := []causeTest{
		{"paused", disk.Options{}, func(w *world) {
			w.put(glassq.Task{})
			w.set("q", glassq.SettingsChange{Paused: ptr(true)})
		}, "", explain.Paused, "it is paused"},
		{"halted", disk.Options{}, func(w *world) {
			w.set("q", glassq.SettingsChange{Halt: ptr("failed>0% of 1"), HaltResume: ptr(60.0)})
			w.put(make([]glassq.Task, 2)...)
			leases := w.reserve("ann", 1, 0)
			_, err := w.Nack(w.as("ann"), []glassq.Nack{{Token: leases[0].Token(), Dead: true}})
			w.must(err)
		}, "", explain.Halted, "it is halted, a probe goes out at 00:01:00 UTC: 1 of the last 1 endings failed (failed>0% of 1)"},
		{"a halted key", disk.Options{}, func(w *world) {
			w.set("q", glassq.SettingsChange{Halt: ptr("failed>0% of 1"), HaltPer: ptr(glassq.HaltPerKey)})
			w.put(glassq.Task{Key: "a"}, glassq.Task{Key: "a"}, glassq.Task{Key: "b"})
			leases := w.reserve("ann", 1, 0)
			_, err := w.Nack(w.as("ann"), []glassq.Nack{{Token: leases[0].Token(), Dead: true}})
			w.must(err)
		}, "", explain.Halted, `key "a" is halted until somebody resumes it: 1 of the last 1 endings failed (failed>0% of 1)`},
		{"keys", disk.Options{}, func(w *world) {
			w.set("q", glassq.SettingsChange{Keys: &glassq.KeyRules{KeyLimits: glassq.KeyLimits{Concurrency: ptr(1)}}})
			w.put(glassq.Task{Key: "a"}, glassq.Task{Key: "a"}, glassq.Task{Key: "b"})
			leases := w.reserve("ann", 2, 0)
			_, err := w.Nack(w.as("ann"), []glassq.Nack{{Token: leases[1].Token(), Undone: true, Hold: time.Minute}})
			w.must(err)
		}, "", explain.Keys, "2 ready; of 2 keys with ready tasks some may not go: 1 held, 1 at the concurrency it may have"},
		{"rate", disk.Options{}, func(w *world) {
			w.set("q", glassq.SettingsChange{Rate: ptr(0.01)})
			w.put(make([]glassq.Task, 5)...)
			w.reserve("ann", 5, 0)
			w.wg.Go(func() { w.Reserve(w.as("ann"), glassq.Reserve{Queue: "q", Max: 5, Wait: -1}) })
			synctest.Wait()
		}, "", explain.Rate, "4 ready, let go at 0.01 a second, the next one in 100 s"},
		{"rate, and a worker that asks now and then", disk.Options{}, func(w *world) {
			w.set("q", glassq.SettingsChange{Rate: ptr(1. / 3600)})
			w.put(make([]glassq.Task, 3)...)
			w.reserve("ann", 3, 0)
			time.Sleep(5 * time.Second)
			w.reserve("ann", 3, 0)
		}, "", explain.Rate, "2 ready, let go at 0.0002778 a second, the next one in 59 min"},
		{"nobody ever asked", disk.Options{}, func(w *world) {
			w.put(glassq.Task{})
		}, "", explain.NoWorker, "nobody has since the server began"},
		{"the last worker left", disk.Options{}, func(w *world) {
			w.reserve("host-3", 1, 0)
			w.put(make([]glassq.Task, 3)...)
			time.Sleep(4 * time.Minute)
		}, "", explain.NoWorker, "3 ready and nobody asks (last host-3, 4 min ago)"},
		{"workers at their limit", disk.Options{}, func(w *world) {
			w.put(make([]glassq.Task, 9)...)
			leases := w.reserve("host-7", 4, 20*time.Second)
			time.Sleep(15 * time.Second)
			_, err := w.Extend(w.as("host-7"), []glassq.Extend{{Token: leases[0].Token()}})
			w.must(err)
		}, "", explain.AtLimit, "5 ready, and the workers are at their limit: host-7 holds 4"},
		{"delayed", disk.Options{}, func(w *world) {
			w.put(glassq.Task{Delay: time.Hour}, glassq.Task{Delay: 10 * time.Minute})
		}, "", explain.Delayed, "2 delayed, the next until 00:10:00"},
		{"delayed until another run has ended", disk.Options{}, func(w *world) {
			for _, run := range []struct {
				name   string
				change glassq.RunChange
			}{{"fetch", glassq.RunChange{Queue: "pages"}}, {"load", glassq.RunChange{Queue: "q", After: "fetch"}}} {
				_, err := w.SetRun(w.ctx, run.name, run.change)
				w.must(err)
			}
			w.put(glassq.Task{Run: "load", Dense: true})
		}, "", explain.After, "run load waits for the end of run fetch, which is not sealed and has 0 pending"},
		{"leases that have just run out", disk.Options{}, func(w *world) {
			w.put(make([]glassq.Task, 3)...)
			w.reserve("host-7", 2, time.Second)
			time.Sleep(1100 * time.Millisecond)
		}, "", explain.Moving, "3 ready, and workers ask for them"},
		{"leased by a worker that is there", disk.Options{}, func(w *world) {
			w.put(make([]glassq.Task, 2)...)
			w.reserve("host-7", 2, time.Minute)
			time.Sleep(3 * time.Second)
		}, "", explain.Working, "2 leased by host-7, heard of 3 s ago"},
		{"silent worker", disk.Options{}, func(w *world) {
			w.put(make([]glassq.Task, 2)...)
			w.reserve("host-7", 2, time.Hour)
			time.Sleep(10 * time.Minute)
		}, "", explain.Silent, "2 leased by host-7, silent for 10 min"},
		{"full", disk.Options{}, func(w *world) {
			w.set("q", glassq.SettingsChange{MaxTasks: ptr(int64(2))})
			w.put(make([]glassq.Task, 2)...)
		}, "", explain.Full, "it is full"},
		{"full results queue", disk.Options{}, func(w *world) {
			w.set("results", glassq.SettingsChange{MaxTasks: ptr(int64(1))})
			w.put(make([]glassq.Task, 2)...)
			w.ack(w.reserve("ann", 1, 0)[0], `{"o":{"ok":1}}`)
			w.reserve("ann", 1, 0)
		}, "", explain.ResultsFull, "the queue results is full"},
		{"disk low", disk.Options{MinFree: noRoom}, func(w *world) {
			w.reserve("ann", 1, 0) // makes the queue
		}, "", explain.DiskLow, "puts are refused until there is room"},
		{"server stopping", disk.Options{}, func(w *world) {
			w.put(glassq.Task{})
			w.stopping = true
		}, "", explain.Stopping, "the server is stopping"},
		{"dead", disk.Options{}, func(w *world) {
			w.put(glassq.Task{})
			_, err := w.Nack(w.ctx, []glassq.Nack{{Token: w.reserve("ann", 1, 0)[0].Token(), Dead: true}})
			w.must(err)
		}, "", explain.Dead, "1 dead waits for a person"},
		{"everything done", disk.Options{}, func(w *world) {
			w.put(glassq.Task{})
			w.ack(w.reserve("ann", 1, 0)[0], `{}`)
		}, "", explain.AllDone, "nothing is left to do"},
		{"workers ask", disk.Options{}, func(w *world) {
			w.reserve("ann", 1, 0)
			w.put(glassq.Task{})
		}, "", explain.Moving, "1 ready, and workers ask for them"},
		{"run not sealed", disk.Options{}, func(w *world) {
			w.put(glassq.Task{Run: "r", Dense: true})
		}, "r", explain.NotSealed, "it is not sealed"},
		{"run whose queue has no worker", disk.Options{}, func(w *world) {
			w.put(glassq.Task{Run: "r", Dense: true})
			_, err := w.SetRun(w.ctx, "r", glassq.RunChange{Queue: "q", Sealed: true, Total: 1})
			w.must(err)
		}, "r", explain.NoWorker, "1 ready and nobody asks"},
		{"results not taken", disk.Options{}, func(w *world) {
			w.put(glassq.Task{Run: "r", Dense: true})
			_, err := w.SetRun(w.ctx, "r", glassq.RunChange{Queue: "q", Sealed: true, Total: 1})
			w.must(err)
			w.ack(w.reserve("ann", 1, 0)[0], `{"o":{"ok":1}}`)
		}, "r", explain.ResultsStay, "it is complete, and 1 result lies in results"},
		{"run done", disk.Options{}, func(w *world) {
			_, err := w.SetRun(w.ctx, "r", glassq.RunChange{Queue: "q", Sealed: true})
			w.must(err)
		}, "r", explain.AllDone, "everything is done"},
	}
	hold := func(w *world, change glassq.RunChange) {
		_, err := w.SetRun(w.ctx, "first", change)
		w.must(err)
		_, err = w.SetRun(w.ctx, "r", glassq.RunChange{Queue: "q", After: "first"})
		w.must(err)
		w.put(glassq.Task{Run: "r"})
	}
	tests = append(tests, []causeTest{
		{"a run that is under way comes first", disk.Options{}, func(w *world) {
			w.put(make([]glassq.Task, 2)...)
			hold(w, glassq.RunChange{Source: "s"})
		}, "r", explain.After, "waits for the end of run first, which is not sealed and has 0 pending"},
		{"a run that names no queue", disk.Options{}, func(w *world) {
			_, err := w.SetRun(w.ctx, "first", glassq.RunChange{})
			w.must(err)
			_, err = w.SetRun(w.ctx, "second", glassq.RunChange{After: "first"})
			w.must(err)
			w.put(glassq.Task{Run: "second"})
		}, "", explain.After, "run second waits for the end of run first"},
		{"a run that failed comes first", disk.Options{}, func(w *world) {
			w.put(glassq.Task{Run: "first"})
			w.ack(w.reserve("ann", 1, 0)[0], `{"o":{"ok":0}}`)
			hold(w, glassq.RunChange{Sealed: true, Total: 1})
		}, "r", explain.After, "waits for the success of run first, which ended with 1 failed and 0 dead"},
		{"a run beside others in its queue", disk.Options{}, func(w *world) {
			w.put(glassq.Task{Run: "mine", Dense: true}, glassq.Task{Run: "other", Dense: true, Delay: time.Hour})
			_, err := w.SetRun(w.ctx, "mine", glassq.RunChange{Queue: "q", Sealed: true, Total: 1})
			w.must(err)
		}, "mine", explain.NoWorker, "in its queue q: 1 ready and nobody asks"},
	}...)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, tt.opt)
				tt.make(w)
				ask := func() (glassq.Explanation, error) { return w.Explainer.Queue(w.ctx, "q") }
				if tt.run != "" {
					ask = func() (glassq.Explanation, error) { return w.Explainer.Run(w.ctx, tt.run) }
				}
				got, err := ask()
				w.must(err)
				find := func(cause string) int {
					return slices.IndexFunc(got.Causes, func(c glassq.Cause) bool { return c.Cause == cause })
				}
				i := find(tt.cause)
				if i < 0 {
					t.Fatalf("causes = %+v, want %s", got.Causes, tt.cause)
				}
				if !strings.Contains(got.Causes[i].Text, tt.text) || !strings.Contains(got.Text, tt.text) {
					t.Errorf("text = %q of %q, want %q in both", got.Causes[i].Text, got.Text, tt.text)
				}
				// What holds ready tasks up is told apart: at most one reason for that is named.
				reasons := 0
				for _, r := range []string{explain.Paused, explain.Rate, explain.NoWorker, explain.AtLimit, explain.Moving} {
					if find(r) >= 0 {
						reasons++
					}
				}
				if reasons > 1 {
					t.Errorf("%d reasons why ready tasks stay: %+v", reasons, got.Causes)
				}
			})
		})
	}
}

// TestRunsAfter: a run that others wait for is not explained by them.
func TestRunsAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, disk.Options{})
		for _, run := range []glassq.RunChange{{Queue: "q", Sealed: true, Total: 1}, {Queue: "q", After: "first"}} {
			name := "first"
			if run.After != "" {
				name = "second"
			}
			_, err := w.SetRun(w.ctx, name, run)
			w.must(err)
			w.put(glassq.Task{Run: name, Dense: true})
		}
		got, err := w.Explainer.Run(w.ctx, "first")
		w.must(err)
		after := func(c glassq.Cause) bool { return c.Cause == explain.After }
		if strings.Contains(got.Text, "second") || slices.ContainsFunc(got.Causes, after) {
			t.Errorf("%+v; want nothing of the run that waits for it", got)
		}
	})
}

// TestWhoTakes holds that nobody is told to work on results as if they were tasks, which would end them.
func TestWhoTakes(t *testing.T) {
	for _, tt := range []struct{ name, queue, do string }{
		{"tasks", "q", "glassq work http --queue q"},
		{"results", "results", "glassq output"},
		{"results of a run", "results.r", "glassq output --run r"},
		{"results of a run that has gone", "results.gone", "glassq output --results results.gone"},
		{"results of a run that has others", "results.o", "glassq output --results results.o"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, disk.Options{})
				for run, results := range map[string]string{"r": "results.r", "o": "others"} {
					_, err := w.SetRun(w.ctx, run, glassq.RunChange{Queue: "q", Results: results})
					w.must(err)
				}
				_, err := w.Put(w.ctx, []glassq.Task{{Queue: tt.queue, Body: []byte("{}")}})
				w.must(err)
				got, err := w.Explainer.Queue(w.ctx, tt.queue)
				w.must(err)
				if len(got.Causes) != 1 || got.Causes[0].Cause != explain.NoWorker || got.Causes[0].Do != tt.do {
					t.Errorf("causes = %+v, want %s: %s", got.Causes, explain.NoWorker, tt.do)
				}
			})
		})
	}
}

func TestNotThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, disk.Options{})
		if _, err := w.Explainer.Queue(w.ctx, "nowhere"); !errors.Is(err, glassq.ErrNotFound) {
			t.Errorf("explain a queue that is not there = %v, want not_found", err)
		}
		if _, err := w.Explainer.Run(w.ctx, "nowhere"); !errors.Is(err, glassq.ErrNotFound) {
			t.Errorf("explain a run that is not there = %v, want not_found", err)
		}
	})
}

func TestTask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, disk.Options{})
		w.put(glassq.Task{Run: "r", Dense: true}, glassq.Task{Run: "r", Dense: true, Position: 1},
			glassq.Task{Run: "r", Dense: true, Position: 2}, glassq.Task{Run: "r", Dense: true, Position: 3},
			glassq.Task{ID: "mine"}, glassq.Task{})
		leases := w.reserve("ann", 4, 0)
		w.ack(leases[0], `{"o":{"ok":1}}`)
		w.ack(leases[1], `{"o":{"ok":0}}`)
		_, err := w.Nack(w.ctx, []glassq.Nack{{Token: leases[2].Token(), Dead: true, Reason: "no good"}})
		w.must(err)
		at := func(n uint32) glassq.Find { return glassq.Find{Run: "r", Position: n, Dense: true} }
		id := func(id string) glassq.Find { return glassq.Find{Queue: "q", ID: id} }
		tests := []struct {
			name        string
			find        glassq.Find
			where, text string
			state       glassq.State
		}{
			{"ok", at(0), glassq.FoundOK, "booked as ok", 0},
			{"failed", at(1), glassq.FoundFailed, "booked as failed", 0},
			{"dead", at(2), glassq.FoundDead, "without an ack", 0},
			{"pending", at(3), glassq.FoundPending, "not indexed by position", 0},
			{"never put", at(4), glassq.FoundNever, "No such task was put.", 0},
			{"a position as an id", id("r/1"), glassq.FoundFailed, "booked as failed", 0},
			{"lease", glassq.Find{Queue: "q", Lease: leases[3].Number}, glassq.FoundHeld, "ann holds it until", glassq.Leased},
			{"acked lease", glassq.Find{Queue: "q", Lease: leases[0].Number}, glassq.FoundAcked, "was acked", 0},
			{"lease that ended", glassq.Find{Queue: "q", Lease: leases[2].Number}, glassq.FoundGone, "is no more", 0},
			{"lease never given", glassq.Find{Queue: "q", Lease: 1 << 50}, glassq.FoundNever, "No such task", 0},
			{"an id of one's own", id("mine"), glassq.FoundWindow, "is not indexed", 0},
			{"unknown id", id("yours"), glassq.FoundNever, "No such task", 0},
			{"number", id("~6"), glassq.FoundHeld, "It is ready", glassq.Ready},
			{"number of a dead one", id("~3"), glassq.FoundHeld, "no good", glassq.Dead},
			{"number of one that is gone", id("~1"), glassq.FoundGone, "is no more", 0},
			{"number of none", id("~99"), glassq.FoundNever, "No such task", 0},
		}
		for _, tt := range tests {
			got, err := w.Explainer.Task(w.ctx, tt.find)
			if err != nil || got.Where != tt.where || !strings.Contains(got.Text, tt.text) || got.State != tt.state {
				t.Errorf("%s: %s %q in state %v, %v; want %s with %q in %v", tt.name, got.Where, got.Text, got.State, err, tt.where,
					tt.text, tt.state)
			}
		}
		for _, f := range []glassq.Find{{Queue: "nowhere", ID: "x"}, {Run: "nowhere", Dense: true}} {
			if _, err := w.Explainer.Task(w.ctx, f); !errors.Is(err, glassq.ErrNotFound) {
				t.Errorf("%+v = %v, want not_found", f, err)
			}
		}
	})
}

// TestNextDelayed: the next of a queue is found among those of others, as far as that is looked
// for.
func TestNextDelayed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, disk.Options{})
		other := make([]glassq.Task, 99)
		for i := range other {
			other[i] = glassq.Task{Queue: "other", Body: []byte("x"), Delay: time.Duration(i+1) * time.Second}
		}
		_, err := w.Put(w.ctx, other)
		w.must(err)
		w.put(glassq.Task{Delay: 3 * time.Hour}, glassq.Task{Delay: 2 * time.Hour})
		d, err := w.Broker.NextDelayed(w.ctx, "q")
		if err != nil || !d.Timed || d.In != 2*time.Hour {
			t.Errorf("next delayed = %+v, %v; want 2h", d, err)
		}
		for i := range 50 {
			_, err := w.Put(w.ctx, []glassq.Task{{Queue: fmt.Sprintf("more%d", i), Body: []byte("x"), Delay: time.Second}})
			w.must(err)
		}
		if d, err := w.Broker.NextDelayed(w.ctx, "q"); err != nil || d.Timed {
			t.Errorf("next delayed behind 149 others = %+v, %v; want that it is not known", d, err)
		}
	})
}

// TestHeldRuns: a run that waits for another one is known by its queue from its first put on, however
// its tasks are put.
func TestHeldRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, disk.Options{})
		_, err := w.SetRun(w.ctx, "first", glassq.RunChange{})
		w.must(err)
		for _, tt := range []struct {
			name string
			task glassq.Task
		}{
			{"alone", glassq.Task{}},
			{"delayed", glassq.Task{Delay: time.Hour}},
			{"range", glassq.Task{Dense: true, Range: &glassq.Range{Count: 5}}},
		} {
			_, err := w.SetRun(w.ctx, tt.name, glassq.RunChange{After: "first"})
			w.must(err)
			task := tt.task
			task.Queue, task.Run, task.Body = tt.name, tt.name, []byte("x")
			_, err = w.Put(w.ctx, []glassq.Task{task})
			w.must(err)
			if d, err := w.Broker.NextDelayed(w.ctx, tt.name); err != nil || len(d.Runs) != 1 || d.Runs[0] != tt.name {
				t.Errorf("%s: %+v, %v", tt.name, d, err)
			}
		}
	})
}
