package term

import (
	"bytes"
	"context"
	"errors"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/output"
	"github.com/vbauerster/mpb/v8"
)

// A lockedBuffer is written by the bars and read by the test.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// The bars at a fixed width, with made-up figures.
func TestBars(t *testing.T) {
	var out lockedBuffer
	b := newBars(&out, boardNames, mpb.WithWidth(90), mpb.WithManualRefresh(make(chan any)))
	s := snapshot{total: 1000, put: 1000, done: 500, out: 250, ok: 499, failed: 1, dead: 2, leased: 64,
		p50: 210 * time.Microsecond, p99: 3 * time.Millisecond}
	if _, err := b.Write([]byte("a line above\n")); err != nil {
		t.Fatal(err)
	}
	b.show(s.gauges([3]float64{0, 50, 25}), s.line())
	b.close()
	text := out.String()
	want := []string{
		"a line above",
		"put   [############################]  1,000 of 1,000 (100%)",
		"done  [##############..............]  500 of 1,000 (50%)  50/s  10s left",
		"out   [#######.....................]  250 of 1,000 (25%)  25/s  30s left",
		"ok 99.80%  p50 210µs  p99 3ms  leased 64  dead 2",
	}
	at := 0
	for _, w := range want {
		line := strings.Join(strings.Fields(w), " ")
		i := strings.Index(strings.Join(strings.Fields(text), " ")[at:], line)
		if i < 0 {
			t.Fatalf("the bars do not show %q after what is above it:\n%s", line, text)
		}
		at += i
	}
	if regexp.MustCompile(`\x1b\[[0-9;]*m`).MatchString(text) {
		t.Errorf("the bars have colours: %q", text)
	}
	if _, err := b.Write([]byte("late")); err == nil {
		t.Error("a line above bars that are gone was accepted; it would be lost")
	}
}

func TestSnapshotLine(t *testing.T) {
	for _, tt := range []struct {
		s    snapshot
		want string
	}{
		{snapshot{}, "leased 0  dead 0"},
		{snapshot{ok: 9_999_999, failed: 1, leased: 1234}, "ok 99.99%  leased 1,234  dead 0"},
		{snapshot{ok: 3, p50: time.Millisecond, p99: time.Second}, "ok 100.00%  p50 1ms  p99 1s  leased 0  dead 0"},
	} {
		if got := tt.s.line(); got != tt.want {
			t.Errorf("line of %+v = %q, want %q", tt.s, got, tt.want)
		}
	}
	unknown := gauge{done: 7, rate: 2.6}
	if got := unknown.figures(40); got != "7  3/s" {
		t.Errorf("figures without a total = %q", got)
	}
	large := gauge{done: 1_234_567, total: 10_000_000, rate: 20_000, left: 7 * time.Minute}
	for columns, want := range map[int]string{80: "1,234,567 of 10,000,000 (12%)  20,000/s  7m0s left",
		34: "12%  20,000/s  7m0s left", 10: "12%"} {
		if got := large.figures(columns); got != want {
			t.Errorf("figures in %d columns = %q, want %q", columns, got, want)
		}
	}
}

// fakeBooks answers as a server does, or not at all.
type fakeBooks struct{ away bool }

func (f *fakeBooks) Run(_ context.Context, name string) (glassq.Run, error) {
	if f.away {
		return glassq.Run{}, errors.New("away")
	}
	return glassq.Run{Name: name, Queue: "q", Total: 10, Waiting: 2,
		Books: glassq.Books{Put: 10, OK: 5, Failed: 1, Dead: glassq.DeadCounts{Expired: 1}}}, nil
}

func (f *fakeBooks) Queues(_ context.Context, names ...string) ([]glassq.QueueInfo, error) {
	return []glassq.QueueInfo{{Name: names[0], Leased: 3}}, nil
}

// A board joins what it is told with the books, and shows the last of it at the end.
func TestBoard(t *testing.T) {
	for _, tt := range []struct {
		name  string
		books fakeBooks
		want  []string
	}{
		{"books", fakeBooks{}, []string{"put", "10 of 10 (100%)", "done", "7 of 10 (70%)", "out", "6 of 10 (60%)",
			"ok 83.33%", "p99 1s", "leased 3", "dead 1"}},
		{"server away", fakeBooks{away: true}, []string{"4 of 10 (40%)", "0 of 10 (0%)", "6 of 10 (60%)", "p99 1s"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out lockedBuffer
			v := newBoard(newBars(&out, boardNames, mpb.WithWidth(100), mpb.WithManualRefresh(make(chan any))), &tt.books, "")
			v.begin("r")
			v.puts(4, 10)
			v.results(output.Summary{Written: 6, Total: 10,
				RT: output.Percentiles{Count: 6, P50: time.Millisecond, P99: time.Second}})
			v.close()
			text, rest := out.String(), out.String()
			for _, w := range tt.want {
				_, after, ok := strings.Cut(rest, w)
				if !ok {
					t.Fatalf("the board does not show %q in its place:\n%s", w, text)
				}
				rest = after
			}
		})
	}
}

// Rates are right from the first second on, and steady.
func TestBoardRates(t *testing.T) {
	v := newBoard(newBars(&lockedBuffer{}, boardNames, mpb.WithWidth(100), mpb.WithManualRefresh(make(chan any))),
		&fakeBooks{away: true}, "")
	v.cancel()
	v.wg.Wait()
	defer v.close()
	at := v.then
	v.sum, v.rates = 0, [3]float64{} // what the first frame, before this test's clock, made of them
	for i := range 20 {
		at = at.Add(500 * time.Millisecond)
		v.puts(uint64(i+1)*500, 0)
		v.draw(at)
		if got := v.bars.gauge[0].Load().figures(80); !strings.HasSuffix(got, "  1,000/s") {
			t.Errorf("after %d half seconds of 500 each the bar says %q, want 1,000/s", i+1, got)
		}
	}
}
