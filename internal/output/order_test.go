package output

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/glassq/glassq"
)

// takeOrder takes a run in order while do changes the queue, and returns the positions as they were
// written.
func takeOrder(t *testing.T, q *fakeQueue, ctx context.Context, opt Options, do func()) (rep Report, got string,
	said []string, err error) {
	t.Helper()
	var out bytes.Buffer
	opt.Run, opt.W, opt.KeepOrder = "r1", &out, true
	opt.Notify = func(s string) { said = append(said, s) }
	go do()
	rep, err = Run(ctx, q, opt)
	for line := range strings.Lines(out.String()) {
		id, _, _ := strings.Cut(strings.TrimPrefix(line, `{"id":"r1/`), `"`)
		got += id + " "
	}
	return rep, strings.TrimSpace(got), said, err
}

func (q *fakeQueue) seal(total, ok, dead uint64) {
	q.change(func() {
		q.run.Sealed, q.run.Total = true, total
		q.run.Books = glassq.Books{Put: total, OK: ok, Dead: glassq.DeadCounts{Nacked: dead}}
	})
}

func TestKeepOrder(t *testing.T) {
	all := []glassq.Interval{{First: 0, Last: 5}}
	for _, tt := range []struct {
		name string
		seen []uint32 // in the file already
		do   func(q *fakeQueue)
		want string
		dups uint64
	}{
		{"as they come", nil, func(q *fakeQueue) {
			for _, n := range []uint32{0, 1, 2, 3, 4, 5} {
				q.add(n, "{}")
			}
			q.seal(6, 6, 0)
		}, "0 1 2 3 4 5", 0},
		{"the first one comes last", nil, func(q *fakeQueue) {
			for _, n := range []uint32{5, 3, 4, 1, 2} {
				q.add(n, "{}")
				time.Sleep(10 * time.Second) // longer than a lease
			}
			q.add(0, "{}")
			q.seal(6, 6, 0)
		}, "0 1 2 3 4 5", 0},
		{"one is dead, and one comes again", nil, func(q *fakeQueue) {
			q.add(0, "{}")
			q.add(2, "{}")
			time.Sleep(1300 * time.Millisecond)
			q.add(2, "{}") // while the first one waits
			q.add(0, "{}") // when it is written
			time.Sleep(100 * time.Millisecond)
			q.change(func() { q.dead = []glassq.Interval{{First: 1, Last: 1}} })
			time.Sleep(time.Minute)
			for _, n := range []uint32{5, 4, 3} {
				q.add(n, "{}")
			}
			q.seal(6, 5, 1)
		}, "0 2 3 4 5", 2},
		{"done without a result", nil, func(q *fakeQueue) {
			for _, n := range []uint32{5, 4, 1, 0} {
				q.add(n, "{}")
			}
			time.Sleep(time.Minute)
			q.seal(6, 6, 0)
		}, "0 1 4 5", 0},
		{"positions that were never put", nil, func(q *fakeQueue) {
			q.change(func() { q.put = []glassq.Interval{{First: 1, Last: 1}, {First: 4, Last: 4_000_000}} })
			q.change(func() { q.run.Sealed, q.run.Total = true, 3; q.run.Books = glassq.Books{Put: 3} })
			q.add(4_000_000, "{}")
			q.add(4, "{}")
			q.add(1, "{}")
			time.Sleep(time.Minute)
			q.seal(3, 3, 0)
		}, "1 4 4000000", 0},
		{"a file that is continued", []uint32{0, 1, 3}, func(q *fakeQueue) {
			for _, n := range []uint32{5, 4, 3, 2} {
				q.add(n, "{}")
			}
			q.seal(6, 6, 0)
		}, "2 4 5", 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q := newFake()
				q.run = &glassq.Run{Name: "r1", Results: "results.r1", Books: glassq.Books{Put: 6}}
				q.put = all
				seen := new(Seen)
				for _, n := range tt.seen {
					seen.add("r1", n)
				}
				rep, got, said, err := takeOrder(t, q, t.Context(), Options{Seen: seen}, func() { tt.do(q) })
				if err != nil || got != tt.want || len(q.leased)+len(q.ready) != 0 || rep.Duplicates != tt.dups {
					t.Errorf("written %s, %d duplicates, %d left, %v, said %q; want %s, %d", got, rep.Duplicates,
						len(q.leased)+len(q.ready), err, said, tt.want, tt.dups)
				}
			})
		})
	}
}

// What waits is extended, and goes back when the output is interrupted, so that the file stays in
// order.
func TestKeepOrderInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newFake()
		q.run = &glassq.Run{Name: "r1", Results: "results.r1", Books: glassq.Books{Put: 6}}
		ctx, cancel := context.WithCancel(t.Context())
		_, got, _, err := takeOrder(t, q, ctx, Options{Lease: 10 * time.Second}, func() {
			for _, n := range []uint32{0, 2, 3} {
				q.add(n, "{}")
			}
			time.Sleep(time.Minute)
			cancel()
		})
		if !errors.Is(err, context.Canceled) || got != "0" || len(q.leased) != 0 || len(q.ready) != 2 || q.extends < 2*17 {
			t.Errorf("written %s, %d leased, %d ready, %d extends, %v; want 0 written, two back, extended every third of 10 s",
				got, len(q.leased), len(q.ready), q.extends, err)
		}
	})
}

// The window is bounded: order yields, says so, and nothing is lost.
func TestKeepOrderWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newFake()
		const n, window, batch = 2000, 1000, 100
		q.run = &glassq.Run{Name: "r1", Results: "results.r1", Books: glassq.Books{Put: n}}
		body := fmt.Sprintf(`{"i":%q}`, "x")
		rep, got, said, err := takeOrder(t, q, t.Context(), Options{Batch: batch, window: window}, func() {
			for i := uint32(1); i < n; i++ {
				q.add(i, body)
			}
			time.Sleep(time.Minute)
			q.add(0, body)
			q.seal(n, n, 0)
		})
		if err != nil || rep.Written != n || rep.Duplicates != 0 {
			t.Fatalf("%d written, %v; want %d", rep.Written, err, n)
		}
		list := strings.Fields(got)
		falls, zero, last := 0, 0, 0
		for i, text := range list {
			at, err := strconv.Atoi(text)
			if err != nil {
				t.Fatal(err)
			}
			if at == 0 {
				zero = i
			} else if at < last && last != 0 && at%batch != 1 {
				falls++ // not where a batch begins: two are under way, and without room the one that comes first goes first
			}
			last = at
		}
		if falls > 0 || list[zero] != "0" || zero < window/2 {
			t.Errorf("0 comes as number %d, and within batches the order falls %d times: %v", zero, falls, list)
		}
		if len(said) != 2 || !strings.Contains(said[0], "r1/0 is not here yet") ||
			!strings.Contains(said[1], "1 result came too late") {
			t.Errorf("said %q", said)
		}
	})
}
