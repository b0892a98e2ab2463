package disk_test

import (
	"bytes"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/disk"
	"github.com/glassq/glassq/internal/wal/waltest"
)

// TestClocks: what a wall clock may do to a queue with a task that is ready in 3 h and one that
// expires after 3 h. Each step is a rest of the server, by the true time, and how far its wall
// clock is off at the start after that.
func TestClocks(t *testing.T) {
	const year = 365 * 24 * time.Hour
	type step struct {
		rest, off time.Duration
		counted   time.Duration // of the 3 h, with the rests before
		said      string
	}
	tests := []struct {
		name  string
		steps []step
	}{
		{"right", []step{{time.Hour, 0, time.Hour, ""}, {time.Hour, 0, 2 * time.Hour, ""}, {time.Hour, 0, 3 * time.Hour, ""}}},
		{"right, and a month passes", []step{{30 * 24 * time.Hour, 0, 30 * 24 * time.Hour, ""}}},
		{"far ahead once", []step{{time.Hour, year, 0, "not believed"}, {time.Hour, 0, 0, "set back"},
			{2 * time.Hour, 0, 2 * time.Hour, ""}, {time.Hour, 0, 3 * time.Hour, ""}}},
		{"far ahead from then on", []step{{time.Hour, year, 0, "not believed"}, {time.Hour, year, time.Hour, ""},
			{2 * time.Hour, year, 3 * time.Hour, ""}}},
		{"ahead by less than is noticed", []step{{time.Hour, time.Hour, 2 * time.Hour, ""}, {30 * time.Minute, 0, 2 * time.Hour, "set back"},
			{time.Hour, 0, 3 * time.Hour, ""}}},
		{"back once", []step{{time.Hour, -year, 0, "set back"}, {time.Hour, 0, 0, "not believed"}, {2 * time.Hour, 0, 2 * time.Hour, ""}}},
		{"back by seconds", []step{{10 * time.Second, -20 * time.Second, 0, ""}, {time.Hour, 0, time.Hour + 10*time.Second, ""}}},
		{"as in 1970", []step{{time.Hour, -40 * year, 0, "set back"}, {time.Hour, -40 * year, time.Hour, ""},
			{2 * time.Hour, -40 * year, 3 * time.Hour, ""}}},
	}
	for _, tt := range tests {
		for _, clean := range []bool{false, true} {
			name := tt.name + "/killed"
			if clean {
				name = tt.name + "/stopped"
			}
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					time.Sleep(41 * year) // the bubble's 2000 is near to 1970
					var log bytes.Buffer
					var off time.Duration
					s := &system{fs: waltest.NewFS(), opt: disk.Options{Logger: slog.New(slog.NewTextHandler(&log, nil)),
						Wall: func() time.Time { return time.Now().Add(off) }}}
					s.open(t)
					defer func() { s.Close(t) }()
					_, err := s.e.Put(t.Context(), []glassq.Task{{Queue: "delayed", Delay: 3 * time.Hour}, {Queue: "ttl", TTL: 3 * time.Hour}})
					if err != nil {
						t.Fatal(err)
					}
					for i, st := range tt.steps {
						if clean {
							if err := s.e.Close(); err != nil {
								t.Fatal(err)
							}
						} else {
							old := s.e
							s.fs = s.fs.Kill()
							old.Close()
						}
						time.Sleep(st.rest)
						off = st.off
						log.Reset()
						s.open(t)
						waits, expires := held(t, s.e, "delayed", "delayed"), held(t, s.e, "ttl", "ready")
						if want := st.counted < 3*time.Hour; waits != want || expires != want {
							t.Errorf("start %d: still delayed %v, not expired %v; want %v: %v are counted", i, waits, expires, want, st.counted)
						}
						if got, want := dueIn(t, s.e, "delayed"), 3*time.Hour-st.counted; waits && (got-want).Abs() > time.Second {
							t.Errorf("start %d: due in %v; want %v", i, got, want)
						}
						if said := log.String(); strings.Contains(said, "clock") != (st.said != "") || !strings.Contains(said, st.said) {
							t.Errorf("start %d: logged %q; want %q", i, said, st.said)
						}
					}
				})
			})
		}
	}
}

// TestIdleTimeIsKept: a server that had nothing to do for weeks, and was killed, knows of them.
func TestIdleTimeIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &system{fs: waltest.NewFS()}
		s.open(t)
		defer func() { s.Close(t) }()
		const day = 24 * time.Hour
		if _, err := s.e.Put(t.Context(), []glassq.Task{{Queue: "delayed", Delay: 100 * day}}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(90 * day)
		s.Kill(t)
		if got := dueIn(t, s.e, "delayed"); (got - 10*day).Abs() > time.Second {
			t.Errorf("due in %v; want 10 days", got)
		}
	})
}

func held(t *testing.T, e *disk.Engine, queue, state string) bool {
	t.Helper()
	info, err := e.Queues(t.Context(), queue)
	if err != nil {
		t.Fatal(err)
	}
	if state == "delayed" {
		return info[0].Delayed == 1
	}
	return info[0].Ready == 1
}

// dueIn is how long the one task of queue is delayed yet.
func dueIn(t *testing.T, e *disk.Engine, queue string) time.Duration {
	t.Helper()
	p, _, err := e.Peek(t.Context(), queue, glassq.Delayed, 0, 1)
	if err != nil {
		t.Fatal(err)
	}
	if len(p) == 0 {
		return 0
	}
	return p[0].Due
}

// TestOlderCheckpointTellsTime: a checkpoint has a segment freed in which everything has expired. A
// start that falls back to the one before comes to the same, also where the clock is of no use:
// that the time passed is in the log.
func TestOlderCheckpointTellsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var off time.Duration
		s := &system{fs: waltest.NewFS(), opt: smallSegments}
		s.opt.Wall = func() time.Time { return time.Now().Add(off) }
		s.open(t)
		defer func() { s.Close(t) }()
		put := func(n, size int, ttl time.Duration) {
			t.Helper()
			for range n {
				if _, err := s.e.Put(t.Context(), []glassq.Task{{Queue: "q", TTL: ttl, Body: make([]byte, size)}}); err != nil {
					t.Fatal(err)
				}
			}
		}
		checkpoint := func() {
			t.Helper()
			if err := s.e.Checkpoint(nil); err != nil {
				t.Fatal(err)
			}
		}
		put(4, 2000, 10*time.Minute) // fills the first segment
		put(8, 2000, 0)
		checkpoint()
		put(1, 10, 0)
		checkpoint()
		put(1, 10, 0)
		before := segments(t, s.fs)
		time.Sleep(20 * time.Minute) // no frame tells the time yet, as one does every hour
		checkpoint()
		if after := segments(t, s.fs); after >= before {
			t.Fatalf("%d segments, and %d when the first had nothing left; the test shows nothing", before, after)
		}
		names, err := s.fs.List()
		if err != nil {
			t.Fatal(err)
		}
		old := s.e
		s.fs = s.fs.Kill()
		old.Close()
		if newest := slices.MaxFunc(names, byCheckpoint); !s.fs.Flip(newest, 70, 1) {
			t.Fatalf("%s is too short to be damaged", newest)
		}
		off = -3 * time.Hour
		s.open(t)
		info, err := s.e.Queues(t.Context(), "q")
		if err != nil || info[0].Ready != 10 {
			t.Errorf("%d tasks are ready, %v; want the 10 without ttl", info[0].Ready, err)
		}
	})
}

// byCheckpoint orders names of files so that the newest checkpoint is the last.
func byCheckpoint(a, b string) int {
	is := func(name string) string {
		if strings.HasPrefix(name, "checkpoint-") && !strings.HasSuffix(name, ".tmp") {
			return name
		}
		return ""
	}
	return strings.Compare(is(a), is(b))
}

func segments(t *testing.T, fs *waltest.FS) (n int) {
	t.Helper()
	names, err := fs.List()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasPrefix(name, "segment-") && strings.HasSuffix(name, ".log") {
			n++
		}
	}
	return n
}
