package enginelog_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/enginetest"
	"github.com/glassq/glassq/internal/engine"
	"github.com/glassq/glassq/internal/engine/enginelog"
)

// A system is an engine over a log in memory.
type system struct {
	store *enginelog.Store
	opt   enginelog.Options
	log   *enginelog.Log
}

// often has checkpoints, moved bodies and freed extents all the time.
var often = engine.Options{CacheBytes: 1, CheckpointEvery: 4 << 10}

func (s *system) open(t testing.TB) {
	t.Helper()
	log, err := enginelog.Open(s.store, s.opt, often)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	s.log = log
}

func (s *system) Store() glassq.Store { return s.log.Engine }

func (s *system) end(t testing.TB, power bool) {
	t.Helper()
	s.log.Kill(power)
	s.log.Close()
	s.open(t)
}

func (s *system) Kill(t testing.TB) { t.Helper(); s.end(t, false) }

func (s *system) PowerCut(t testing.TB) { t.Helper(); s.end(t, true) }

func (s *system) Restart(t testing.TB) {
	t.Helper()
	s.Close(t)
	s.open(t)
}

func (s *system) Close(t testing.TB) {
	t.Helper()
	if err := s.log.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}

func newSystem(far bool) *system {
	s := &system{store: enginelog.NewStore()}
	if far {
		s.opt = enginelog.Options{Later: true, Policy: engine.Policy{
			Window: 4, HandOutsWait: true, ExtendsWait: true, ReadsWait: true,
			Stops: time.Second, Fresh: time.Second, NumbersByTime: true, FrameBytes: 64 << 10,
			Seen: func(int64) (time.Duration, bool) { return time.Since(s.store.Seen()), true },
		}}
	}
	return s
}

// TestLaws runs every law of an engine without a disk: over a log that answers at once and keeps
// one frame at a time, and over one that answers later, with four, and of which nothing is told
// before it is done.
func TestLaws(t *testing.T) {
	for _, tt := range []struct {
		name string
		far  bool
	}{{"like a disk", false}, {"like a cluster", true}} {
		t.Run(tt.name, func(t *testing.T) {
			enginetest.Run(t, enginetest.Harness{Open: func(t testing.TB) enginetest.System {
				s := newSystem(tt.far)
				s.open(t)
				return s
			}})
		})
	}
}

func put(s *system, body string) error {
	_, err := s.log.Engine.Put(context.Background(), []glassq.Task{{Queue: "q", ID: body, Body: []byte(body)}})
	return err
}

// TestFailures: callers hear whether their frame may be in the log, the engine ends, and a start
// finds what they were told.
func TestFailures(t *testing.T) {
	for _, tt := range []struct {
		name   string
		err    error
		first  glassq.Code // of the caller whose frame fails
		behind glassq.Code // of those that come later, or whose records are not with the log yet
		stored bool
	}{
		{"surely not in the log", glassq.Errorf(glassq.CodeUnavailable, "fenced"), glassq.CodeUnavailable,
			glassq.CodeUnavailable, false},
		{"unknown", glassq.ErrUnknown, glassq.CodeUnknown, glassq.CodeUnavailable, true},
		{"a disk's", glassq.ErrStorage, glassq.CodeStorage, glassq.CodeStorage, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSystem(true)
				s.opt.Delay = time.Millisecond
				var failing bool // set while nothing is under way
				s.opt.Fail = func(*engine.Frame) error {
					if failing {
						return tt.err
					}
					return nil
				}
				s.open(t)
				if err := put(s, "before"); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				failing = true
				errs := make([]error, 8) // more than the window, so that some are not with the log yet
				var wg sync.WaitGroup
				for i := range errs {
					wg.Go(func() { errs[i] = put(s, string(rune('a'+i))) })
					synctest.Wait()
				}
				wg.Wait()
				<-s.log.Engine.Failed()
				for i, err := range errs {
					want := tt.first
					switch {
					case i > 3: // behind the window
						want = tt.behind
					case i > 0: // with the log, behind the frame that failed
						want = glassq.CodeUnavailable
					}
					if glassq.CodeOf(err) != want {
						t.Errorf("put %d = %v, want %s", i, err, want)
					}
				}
				if err := put(s, "later"); glassq.CodeOf(err) != tt.behind {
					t.Errorf("put after that = %v, want %s", err, tt.behind)
				}
				if err := s.log.Close(); err == nil {
					t.Error("close = nil, want why the engine failed")
				}
				s.opt.Fail = nil
				s.open(t)
				defer s.Close(t)
				for i := range errs {
					body := string(rune('a' + i))
					r, err := s.log.Engine.Put(t.Context(), []glassq.Task{{Queue: "q", ID: body, Body: []byte(body)}})
					if err != nil || r[0].Duplicate != (tt.stored && i == 0) {
						t.Errorf("put %d again = %+v, %v; want a duplicate %v", i, r, err, tt.stored && i == 0)
					}
				}
			})
		})
	}
}

// TestWaits: what waits for the commit, by the policy. The log is stopped meanwhile, so whoever is
// answered did not wait.
func TestWaits(t *testing.T) {
	for _, far := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s := newSystem(far)
			if far {
				s.opt.Delay = time.Second
			}
			s.open(t)
			defer s.Close(t)
			e, ctx := s.log.Engine, t.Context()
			if err := put(s, "a"); err != nil {
				t.Fatal(err)
			}
			if _, err := e.SetRun(ctx, "r", glassq.RunChange{}); err != nil {
				t.Fatal(err)
			}
			took := func(what string, do func() error) {
				t.Helper()
				began := time.Now()
				if err := do(); err != nil {
					t.Errorf("%s: %v", what, err)
				}
				if d := time.Since(began); (d > 0) != far {
					t.Errorf("%s took %v; waits %v", what, d, far)
				}
			}
			var lease glassq.Lease
			took("a hand-out", func() error {
				got, err := e.Reserve(ctx, glassq.Reserve{Queue: "q", Max: 1, Lease: time.Hour})
				if err != nil || len(got) != 1 {
					return errors.Join(err, errors.New("no lease"))
				}
				lease = got[0]
				return nil
			})
			extend := func() error {
				errs, err := e.Extend(ctx, []glassq.Extend{{Token: lease.Token(), Lease: time.Hour}})
				return errors.Join(append(errs, err)...)
			}
			took("an extend", extend)
			for _, read := range []struct {
				name string
				do   func() error
			}{
				{"held", func() error { _, err := e.Held(ctx, "q"); return err }},
				{"run", func() error { _, err := e.Run(ctx, "r"); return err }},
				{"runs", func() error { _, err := e.Runs(ctx); return err }},
				{"ids", func() error { _, err := e.RunIDs(ctx, "r", glassq.IDsPut, 0, 9); return err }},
			} {
				var wg sync.WaitGroup
				wg.Go(func() { extend() }) // so that there is something not yet done
				synctest.Wait()
				took(read.name, read.do)
				wg.Wait()
			}
		})
	}
}

// TestRefusedOfWhatFails: a refusal that rests on a frame under way is told when that is done; when it
// fails the call was surely not done.
func TestRefusedOfWhatFails(t *testing.T) {
	more := []glassq.Task{{Queue: "q", ID: "more"}}
	for _, tt := range []struct {
		name string
		call func(ctx context.Context, e *engine.Engine, l *glassq.Lease) error
	}{
		{"put", func(ctx context.Context, e *engine.Engine, _ *glassq.Lease) error {
			_, err := e.Put(ctx, more)
			return err
		}},
		{"put that does not wait for room", func(ctx context.Context, e *engine.Engine, _ *glassq.Lease) error {
			_, err := e.PutWait(ctx, more, 0)
			return err
		}},
		{"put that waits for room", func(ctx context.Context, e *engine.Engine, _ *glassq.Lease) error {
			_, err := e.PutWait(ctx, more, time.Millisecond)
			return err
		}},
		{"ack that does not wait for room", func(ctx context.Context, e *engine.Engine, l *glassq.Lease) error {
			return e.AckWait(ctx, glassq.Ack{Token: l.Token(), Put: more}, 0)
		}},
		{"purge of nothing", func(ctx context.Context, e *engine.Engine, _ *glassq.Lease) error {
			_, err := e.Purge(ctx, "work")
			return err
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSystem(true)
				s.opt.Delay = 10 * time.Millisecond
				var failing atomic.Bool
				s.opt.Fail = func(*engine.Frame) error {
					if failing.Load() {
						return glassq.ErrUnknown
					}
					return nil
				}
				s.open(t)
				e, ctx, one := s.log.Engine, t.Context(), int64(1)
				if _, err := e.Configure(ctx, "q", glassq.SettingsChange{MaxTasks: &one}); err != nil {
					t.Fatal(err)
				}
				if _, err := e.Put(ctx, []glassq.Task{{Queue: "work"}, {Queue: "work"}}); err != nil {
					t.Fatal(err)
				}
				leases, err := e.Reserve(ctx, glassq.Reserve{Queue: "work", Max: 1})
				if err != nil || len(leases) != 1 {
					t.Fatalf("reserve = %d leases, %v", len(leases), err)
				}
				failing.Store(true)
				go put(s, "fills the queue")
				go e.Reserve(ctx, glassq.Reserve{Queue: "work", Max: 1, Take: true})
				synctest.Wait()
				if err := tt.call(ctx, e, &leases[0]); glassq.CodeOf(err) != glassq.CodeUnavailable {
					t.Errorf("it is told %v; want unavailable", err)
				}
				s.log.Close()
			})
		})
	}
}
