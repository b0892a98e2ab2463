package cluster_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/cluster"
	"github.com/glassq/glassq/internal/cluster/clustertest"
)

// A question is a call of which the answer is another one at the next owner than it was at the last.
type question struct {
	name  string
	early bool // it is made before the owner is cut off
	// ask tells whether the answer is the one of the next owner.
	ask func(ctx context.Context, s *cluster.Store) (is bool, err error)
}

var questions = []question{
	{"reserve", false, func(ctx context.Context, s *cluster.Store) (bool, error) {
		ls, err := s.Reserve(ctx, glassq.Reserve{Queue: "q", Max: 1})
		return len(ls) == 1, err
	}},
	{"reserve that waits", false, func(ctx context.Context, s *cluster.Store) (bool, error) {
		ls, err := s.Reserve(ctx, glassq.Reserve{Queue: "q", Max: 1, Wait: time.Second})
		return len(ls) == 1, err
	}},
	{"reserve that waited before", true, func(ctx context.Context, s *cluster.Store) (bool, error) {
		ls, err := s.Reserve(ctx, glassq.Reserve{Queue: "q", Max: 1, Wait: time.Hour})
		return len(ls) == 1, err
	}},
	{"look", false, func(ctx context.Context, s *cluster.Store) (bool, error) {
		ls, err := s.Reserve(ctx, glassq.Reserve{Queue: "q", Max: 1, Look: true})
		return len(ls) == 1, err
	}},
	{"queues", false, func(ctx context.Context, s *cluster.Store) (bool, error) {
		qs, err := s.Queues(ctx, "q")
		return len(qs) == 1 && qs[0].Ready == 1, err
	}},
	{"queue that was not there", false, func(ctx context.Context, s *cluster.Store) (bool, error) {
		qs, err := s.Queues(ctx, "new")
		return len(qs) == 1, err
	}},
	{"peek", false, func(ctx context.Context, s *cluster.Store) (bool, error) {
		ps, _, err := s.Peek(ctx, "q", glassq.Ready, 0, 1)
		return len(ps) == 1, err
	}},
	{"peek into what was not there", false, func(ctx context.Context, s *cluster.Store) (bool, error) {
		ps, _, err := s.Peek(ctx, "new", glassq.Ready, 0, 1)
		return len(ps) == 1, err
	}},
	{"find", false, func(ctx context.Context, s *cluster.Store) (bool, error) {
		f, err := s.Find(ctx, glassq.Find{Queue: "q", ID: "task"})
		return f.Where == glassq.FoundWindow, err
	}},
	{"find in what was not there", false, func(ctx context.Context, s *cluster.Store) (bool, error) {
		f, err := s.Find(ctx, glassq.Find{Queue: "new", ID: "task"})
		return f.Where == glassq.FoundWindow, err
	}},
	{"keys of what was not there", false, func(ctx context.Context, s *cluster.Store) (bool, error) {
		_, err := s.Keys(ctx, "new", "", 1)
		return err == nil, err
	}},
	{"purge of what was not there", false, func(ctx context.Context, s *cluster.Store) (bool, error) {
		n, err := s.Purge(ctx, "new")
		return n == 1, err
	}},
	{"held", false, func(ctx context.Context, s *cluster.Store) (bool, error) {
		h, err := s.Held(ctx, "q")
		return err == nil && h[0].Ready == 1, err
	}},
	{"idle", false, func(ctx context.Context, s *cluster.Store) (bool, error) {
		is, err := s.AwaitIdle(ctx, "q", 0)
		return err == nil && !is, err
	}},
	{"run", false, func(ctx context.Context, s *cluster.Store) (bool, error) {
		r, err := s.Run(ctx, "r")
		return r.Books.Put == 1 && !r.Complete, err
	}},
	{"run awaited", false, func(ctx context.Context, s *cluster.Store) (bool, error) {
		r, err := s.AwaitRun(ctx, "r", glassq.PhaseComplete, 0)
		return r.Books.Put == 1 && !r.Complete, err
	}},
	{"run that was not there", false, func(ctx context.Context, s *cluster.Store) (bool, error) {
		_, err := s.Run(ctx, "new")
		return err == nil, err
	}},
	{"run awaited that was not there", false, func(ctx context.Context, s *cluster.Store) (bool, error) {
		_, err := s.AwaitRun(ctx, "new", glassq.PhaseComplete, time.Second)
		return err == nil, err
	}},
	{"positions of what was not there", false, func(ctx context.Context, s *cluster.Store) (bool, error) {
		_, err := s.RunIDs(ctx, "new", glassq.IDsPut, 0, 1)
		return err == nil, err
	}},
	{"cancel of what was not there", false, func(ctx context.Context, s *cluster.Store) (bool, error) {
		_, err := s.CancelRun(ctx, "new")
		return err == nil, err
	}},
	{"put into what was full", false, func(ctx context.Context, s *cluster.Store) (bool, error) {
		_, err := s.Put(ctx, []glassq.Task{{Queue: "full", ID: "more"}})
		return err == nil, err
	}},
	{"put that waits for room", false, func(ctx context.Context, s *cluster.Store) (bool, error) {
		_, err := s.PutWait(ctx, []glassq.Task{{Queue: "full", ID: "more"}}, time.Second)
		return err == nil, err
	}},
	{"put", false, func(ctx context.Context, s *cluster.Store) (bool, error) {
		_, err := s.Put(ctx, []glassq.Task{{Queue: "other", ID: "a"}})
		return err == nil, err
	}},
	{"schedule that was not there", false, func(ctx context.Context, s *cluster.Store) (bool, error) {
		err := s.DropSchedule(ctx, "new")
		return err == nil, err
	}},
}

// TestCutOffOwner: an owner that was replaced, and does not hear of it, tells nobody what was so in its own
// time only, and has nobody wait for ever. It hands over where it reaches the next owner; else it says that
// it cannot tell.
func TestCutOffOwner(t *testing.T) {
	for _, cut := range []struct {
		name           string
		log, bus, rest bool
		reaches        bool // the next owner
	}{
		{"from the log", true, false, false, true},
		{"from everything", true, true, true, false},
		{"from everything but the log", false, true, true, false},
		{"from programs and the log", true, true, false, false},
	} {
		for _, q := range questions {
			t.Run(cut.name+"/"+q.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					world := clustertest.New(clustertest.Options{Delay: 2 * time.Millisecond, Hop: time.Millisecond})
					opt := often(t)
					opt.Beat = 0
					cutOff, last := join(t, world, opt)
					last.Runs(t.Context()) // it has an owner
					_, next := join(t, world, opt)
					must := func(_ any, err error) {
						t.Helper()
						if err != nil {
							t.Fatal(err)
						}
					}
					one, two := int64(1), int64(2)
					must(last.Configure(t.Context(), "full", glassq.SettingsChange{MaxTasks: &one}))
					must(last.Put(t.Context(), []glassq.Task{{Queue: "full", ID: "first"}}))
					must(last.Configure(t.Context(), "q", glassq.SettingsChange{}))
					must(last.SetRun(t.Context(), "r", glassq.RunChange{}))
					must(last.Reserve(t.Context(), glassq.Reserve{Queue: "q", Max: 1}))
					time.Sleep(time.Minute) // signs of life, and nothing to do
					type answer struct {
						is  bool
						err error
					}
					told := make(chan answer, 1)
					ask := func() {
						is, err := q.ask(t.Context(), last)
						told <- answer{is, err}
					}
					if q.early {
						go ask()
						synctest.Wait()
					}
					cutOff.Cut(cut.log, cut.bus, cut.rest)
					if cut.log && !cut.bus { // else a put of its own has to find that out
						go last.Put(t.Context(), []glassq.Task{{Queue: "other", ID: "b"}})
					}
					time.Sleep(20 * time.Second)
					if !next.Owns() {
						next.Steal()
					}
					task := glassq.Task{ID: "task"}
					for _, in := range []struct{ queue, run string }{{"q", "r"}, {"new", "new"}} {
						task.Queue, task.Run = in.queue, in.run
						must(next.Put(t.Context(), []glassq.Task{task}))
					}
					must(next.Configure(t.Context(), "full", glassq.SettingsChange{MaxTasks: &two}))
					must(next.SetSchedule(t.Context(), "new", glassq.ScheduleChange{Cron: "0 0 1 1 *", Task: `{"queue":"q","body":"x"}`}))
					if !q.early {
						go ask()
					}
					var got answer
					select {
					case got = <-told:
					case <-time.After(time.Minute):
						t.Error("it is told nothing")
						cutOff.Cut(false, false, false)
						got = <-told
					}
					code := glassq.CodeOf(got.err)
					silent := !cut.reaches && (code == glassq.CodeUnavailable || code == glassq.CodeUnknown)
					if !got.is && !silent {
						t.Errorf("it is told %+v, which is not so at the next owner", got)
					}
					_, err := last.Stats(t.Context())
					if code := glassq.CodeOf(err); cut.bus && cut.rest && code != glassq.CodeUnavailable {
						t.Errorf("Stats of a gateway without an owner = %v, want unavailable", err)
					}
					cutOff.Cut(false, false, false)
					time.Sleep(5 * time.Second)
					if err := last.Failure(); err != nil {
						t.Errorf("the gateway that is back has failed: %v", err)
					}
					must(last.Put(t.Context(), []glassq.Task{{Queue: "back", ID: "back"}}))
				})
			})
		}
	}
}

// A slowLog gives its answers late, once told to.
type slowLog struct {
	cluster.FencedLog
	by atomic.Int64 // ns
}

func (l *slowLog) Append(after uint64, msg []byte, answer func(error)) {
	by := time.Duration(l.by.Load())
	l.FencedLog.Append(after, msg, func(err error) { time.AfterFunc(by, func() { answer(err) }) })
}

// TestLateAnswer: an answer of the log says that nobody else wrote when the frame was given to it. When the
// answer is heard another one may have written long since, as it is for an owner that was stopped meanwhile.
func TestLateAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		world := clustertest.New(clustertest.Options{})
		member := world.Join()
		ground := member.Ground()
		log := &slowLog{FencedLog: ground.Log}
		ground.Log = log
		opt := often(t)
		opt.CheckpointEvery, opt.Beat = 1<<20, time.Minute // no frames of its own
		a, err := cluster.Open(t.Context(), ground, opt)
		if err != nil {
			t.Fatal(err)
		}
		defer a.Close()
		putTo(t, a, "one")
		_, b := join(t, world, often(t))
		time.Sleep(time.Minute)
		log.by.Store(int64(900 * time.Millisecond))
		go putTo(t, a, "two")
		synctest.Wait()
		member.Cut(false, true, true)
		b.Steal()
		putTo(t, b, "three")
		time.Sleep(1100 * time.Millisecond)
		synctest.Wait()
		qs, err := a.Queues(t.Context(), "q")
		if err == nil && qs[0].Books.Put != 3 {
			t.Errorf("the last owner tells of %d puts; there are 3", qs[0].Books.Put)
		}
	})
}

// slowHints keep a value at once, and answer late or not at all, as those of other machines do.
type slowHints struct {
	cluster.Hints
	by time.Duration // of Set
}

func (h slowHints) Set(ctx context.Context, key string, value []byte, revision uint64) (uint64, error) {
	revision, err := h.Hints.Set(ctx, key, value, revision)
	select {
	case <-time.After(h.by):
		return revision, err
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// TestParkedAtClose: a reserve of another gateway that waits when the owner is stopped gets what comes next,
// whether it hears first that its call came back or that the owner goes.
func TestParkedAtClose(t *testing.T) {
	const beat, hint = 10 * time.Minute, 100 * time.Millisecond
	for _, tt := range []struct {
		name string
		hint time.Duration // until the owner hears of its hint
		at   time.Duration // when it is stopped
	}{
		{"the call comes back as the owner goes", 0, beat / 4},
		{"the call comes back first", hint, beat / 4},
		{"the owner shows a sign of life", hint, beat + hint + hint/2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				world := clustertest.New(clustertest.Options{})
				ground := world.Join().Ground()
				ground.Hints = slowHints{ground.Hints, tt.hint}
				opt := often(t)
				opt.Beat = beat
				began := time.Now()
				owner, err := cluster.Open(t.Context(), ground, opt)
				if err != nil {
					t.Fatal(err)
				}
				defer owner.Close()
				owner.Runs(t.Context())
				_, next := join(t, world, opt)
				told := make(chan error, 1)
				go func() {
					ls, err := next.Reserve(t.Context(), glassq.Reserve{Queue: "q", Max: 1, Wait: time.Hour})
					if err == nil && len(ls) != 1 {
						err = fmt.Errorf("%d leases", len(ls))
					}
					told <- err
				}()
				time.Sleep(time.Until(began.Add(tt.at)))
				stopped := time.Now()
				if err := owner.Close(); err != nil {
					t.Fatal(err)
				}
				putTo(t, next, "task")
				if err := <-told; err != nil {
					t.Errorf("the reserve that waited = %v", err)
				}
				if took := time.Since(stopped); took > time.Second {
					t.Errorf("the queue stood still for %v", took)
				}
			})
		})
	}
}

// TestWaitsTravel: a call that waits when its owner is replaced goes on waiting at the next one, for what was
// left of its wait.
func TestWaitsTravel(t *testing.T) {
	const wait = 10 * time.Second
	for _, tt := range []struct {
		name string
		call func(ctx context.Context, s *cluster.Store) error
		want glassq.Code // "" is none
	}{
		{"reserve", func(ctx context.Context, s *cluster.Store) error {
			_, err := s.Reserve(ctx, glassq.Reserve{Queue: "q", Max: 1, Wait: wait})
			return err
		}, ""},
		{"put", func(ctx context.Context, s *cluster.Store) error {
			_, err := s.PutWait(ctx, []glassq.Task{{Queue: "full", ID: "more"}}, wait)
			return err
		}, glassq.CodeQueueFull},
		{"ack", func(ctx context.Context, s *cluster.Store) error {
			ls, err := s.Reserve(ctx, glassq.Reserve{Queue: "work", Max: 1, Lease: time.Hour})
			if err != nil || len(ls) != 1 {
				return fmt.Errorf("reserve = %v, %v", ls, err)
			}
			return s.AckWait(ctx, glassq.Ack{Token: ls[0].Token(), Put: []glassq.Task{{Queue: "full"}}}, wait)
		}, glassq.CodeQueueFull},
		{"idle", func(ctx context.Context, s *cluster.Store) error {
			_, err := s.AwaitIdle(ctx, "full", wait)
			return err
		}, ""},
		{"run", func(ctx context.Context, s *cluster.Store) error {
			_, err := s.AwaitRun(ctx, "r", glassq.PhaseComplete, wait)
			return err
		}, ""},
	} {
		for at, name := range []string{"at the last owner", "at the next one"} {
			t.Run(tt.name+" "+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := newSystem(t, clustertest.Options{}, 2, 0)
					defer s.Close(t)
					one := int64(1)
					_, err := s.gateways[0].Configure(t.Context(), "full", glassq.SettingsChange{MaxTasks: &one})
					if err == nil {
						_, err = s.gateways[0].Put(t.Context(), []glassq.Task{{Queue: "full", ID: "first"}, {Queue: "work", Run: "r"}})
					}
					if err != nil {
						t.Fatal(err)
					}
					began, told := time.Now(), make(chan error, 1)
					go func() { told <- tt.call(t.Context(), s.gateways[at]) }()
					for range 3 {
						time.Sleep(wait / 4)
						s.gateways[0].Steal()
						s.gateways[1].Steal()
					}
					err = <-told
					if code := glassq.CodeOf(err); err == nil && tt.want != "" || err != nil && code != tt.want {
						t.Errorf("it is told %v, want %q", err, tt.want)
					}
					if took := time.Since(began); took < wait || took > wait+wait/10 {
						t.Errorf("it waited %v, want %v", took, wait)
					}
				})
			})
		}
	}
}
