package jetstream_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/glassq/glassq/internal/cluster"
	"github.com/glassq/glassq/internal/jetstream"
	"github.com/glassq/glassq/internal/jetstream/natstest"
)

// Three servers that all tests share, each with stores of its own. A test that harms servers starts
// some itself.
var (
	once   sync.Once
	shared *natstest.Cluster
	why    error
)

func TestMain(m *testing.M) {
	code := m.Run()
	dying.Wait()
	if shared != nil {
		shared.Stop()
	}
	os.Exit(code)
}

func servers(t testing.TB) *natstest.Cluster {
	t.Helper()
	if testing.Short() {
		t.Skip("left out by -short: three NATS servers are slow beside the race detector")
	}
	once.Do(func() {
		binary, err := natstest.Binary()
		if err != nil {
			why = err
			return
		}
		dir, err := os.MkdirTemp("", "glassq-nats-*")
		if err != nil {
			why = err
			return
		}
		shared, why = natstest.Start(binary, dir, 3, natstest.Options{})
	})
	if shared == nil {
		t.Skipf("needs the NATS server, which its module mirror has: %v", why)
	}
	return shared
}

func open(t testing.TB, c *natstest.Cluster, name string) *jetstream.Ground {
	t.Helper()
	at, err := jetstream.Parse(c.URL(name))
	if err != nil {
		t.Fatal(err)
	}
	g, err := jetstream.Open(t.Context(), at, jetstream.Options{Monitors: c.Monitors(),
		Logger: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Close)
	return g
}

// patience bounds a call of a test, so that one that hangs is named.
func patience(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// appended appends messages without waiting between them, and returns the answers.
func appended(t testing.TB, log cluster.FencedLog, after uint64, msgs ...string) []error {
	t.Helper()
	answers := make([]chan error, len(msgs))
	for i, msg := range msgs {
		answers[i] = make(chan error, 1)
		log.Append(after+uint64(i), []byte(msg), func(err error) { answers[i] <- err })
	}
	errs := make([]error, len(msgs))
	for i := range msgs {
		select {
		case errs[i] = <-answers[i]:
		case <-patience(t).Done():
			t.Fatalf("nothing is heard of message %d", after+uint64(i)+1)
		}
	}
	return errs
}

func TestLog(t *testing.T) {
	t.Parallel()
	log := open(t, servers(t), "log").Ground().Log
	ctx := patience(t)
	if is, err := log.Info(ctx); err != nil || is.First != 1 || is.Last != 0 || is.Replicas != 3 || is.Leader == "" {
		t.Fatalf("info of an empty log = %+v, %v", is, err)
	}
	if _, err := log.Read(ctx, 1); !errors.Is(err, cluster.ErrNoMessage) {
		t.Errorf("read of an empty log = %v, want ErrNoMessage", err)
	}
	var want []string
	for i := range 600 { // more than one batch of a scan
		want = append(want, fmt.Sprint("message ", i+1))
	}
	for at := 0; at < len(want); at += 4 {
		for i, err := range appended(t, log, uint64(at), want[at:at+4]...) {
			if err != nil {
				t.Fatalf("append %d = %v", at+i+1, err)
			}
		}
	}
	for _, after := range []uint64{0, 599, 601} {
		if err := appended(t, log, after, "refused")[0]; !errors.Is(err, cluster.ErrRefused) {
			t.Errorf("append after %d = %v, want ErrRefused", after, err)
		}
	}
	// Each follows the one before, which is refused: none of them lands.
	for i, err := range appended(t, log, 700, "a", "b", "c") {
		if !errors.Is(err, cluster.ErrRefused) {
			t.Errorf("append %d behind a refused one = %v, want ErrRefused", i, err)
		}
	}
	scan := func(first uint64, most int) (got []string) {
		t.Helper()
		err := log.Scan(ctx, first, most, func(n uint64, msg []byte) bool {
			if n != first+uint64(len(got)) {
				t.Errorf("scan from %d: message %d in place %d", first, n, len(got))
			}
			got = append(got, string(msg))
			return true
		})
		if err != nil {
			t.Errorf("scan from %d = %v", first, err)
		}
		return got
	}
	for _, tt := range []struct {
		first uint64
		most  int
		want  []string
	}{
		{1, 1000, want}, {1, 600, want}, {1, 256, want[:256]}, {2, 257, want[1:258]}, {600, 1, want[599:]}, {601, 10, nil},
		{1, 0, nil}, {601, 1, nil},
	} {
		if got := scan(tt.first, tt.most); !slices.Equal(got, tt.want) {
			t.Errorf("scan of %d from %d = %d messages, want %d", tt.most, tt.first, len(got), len(tt.want))
		}
	}
	passed := 0
	log.Scan(ctx, 1, 600, func(uint64, []byte) bool { passed++; return passed < 3 })
	if passed != 3 {
		t.Errorf("a scan that had enough after 3 messages passed %d", passed)
	}
	if err := log.Purge(ctx, 300); err != nil {
		t.Fatal(err)
	}
	if is, err := log.Info(ctx); err != nil || is.First != 300 || is.Last != 600 {
		t.Errorf("info after a purge = %+v, %v; want 300 to 600", is, err)
	}
	if _, err := log.Read(ctx, 299); !errors.Is(err, cluster.ErrNoMessage) {
		t.Errorf("read of a purged message = %v, want ErrNoMessage", err)
	}
	if msg, err := log.Read(ctx, 300); err != nil || string(msg) != want[299] {
		t.Errorf("read(300) = %q, %v; want %q", msg, err, want[299])
	}
	large := strings.Repeat("x", log.MaxMessage())
	if err := appended(t, log, 600, large)[0]; err != nil {
		t.Fatalf("append of the largest message = %v", err)
	}
	if msg, err := log.Read(ctx, 601); err != nil || string(msg) != large {
		t.Errorf("the largest message reads as %d bytes, %v", len(msg), err)
	}
	if got := scan(601, 1); len(got) != 1 || got[0] != large {
		t.Error("the largest message is not scanned")
	}
}

func TestBus(t *testing.T) {
	t.Parallel()
	a, b := open(t, servers(t), "bus").Ground().Bus, open(t, servers(t), "bus").Ground().Bus
	ctx := patience(t)
	if _, err := a.Request(ctx, "b", nil); !errors.Is(err, cluster.ErrNobody) {
		t.Errorf("a request that nobody hears = %v, want ErrNobody", err)
	}
	stop, err := b.Serve("b", func(msg []byte) []byte { return append([]byte("re: "), msg...) })
	if err != nil {
		t.Fatal(err)
	}
	large := bytes.Repeat([]byte("y"), a.MaxMessage()-4)
	for _, msg := range [][]byte{[]byte("hello"), nil, large} {
		reply := ask(t, a, "b", msg)
		if want := append([]byte("re: "), msg...); !bytes.Equal(reply, want) {
			t.Errorf("reply of %d bytes, want %d", len(reply), len(want))
		}
	}
	stop()
	stop()
	for { // the servers tell each other that nobody listens any more
		try, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
		_, err := a.Request(try, "b", nil)
		cancel()
		if errors.Is(err, cluster.ErrNobody) {
			break
		} else if ctx.Err() != nil {
			t.Fatalf("a request to one that has stopped = %v, want ErrNobody", err)
		}
	}
	heard := make(chan string, 10)
	for _, bus := range []cluster.Bus{a, b} {
		stop, err := bus.Hear(func(msg []byte) { heard <- string(msg) })
		if err != nil {
			t.Fatal(err)
		}
		defer stop()
	}
	for n := 0; n < 2; { // what was told before the servers knew of a listener is lost
		if err := a.Tell([]byte("news")); err != nil {
			t.Fatal(err)
		}
		for n = 0; n < 2; n++ {
			select {
			case <-heard:
				continue
			case <-time.After(time.Second):
			}
			break
		}
	}
}

// ask asks one that listens. The servers may not know of it yet.
func ask(t *testing.T, bus cluster.Bus, to string, msg []byte) []byte {
	t.Helper()
	ctx := patience(t)
	for {
		reply, err := bus.Request(ctx, to, msg)
		if err == nil {
			return reply
		}
		if !errors.Is(err, cluster.ErrNobody) || ctx.Err() != nil {
			t.Fatalf("request of %d bytes = %v", len(msg), err)
		}
	}
}

func TestHints(t *testing.T) {
	t.Parallel()
	h := open(t, servers(t), "hints").Ground().Hints
	ctx := patience(t)
	if v, rev, err := h.Get(ctx, "shard.0"); v != nil || rev != 0 || err != nil {
		t.Fatalf("a hint that is not there = %q, %d, %v", v, rev, err)
	}
	first, err := h.Set(ctx, "shard.0", []byte("a"), 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, rev := range []uint64{0, first + 1} {
		if _, err := h.Set(ctx, "shard.0", []byte("b"), rev); !errors.Is(err, cluster.ErrRefused) {
			t.Errorf("set over revision %d = %v, want ErrRefused", rev, err)
		}
	}
	if _, err := h.Set(ctx, "store", []byte("other"), 0); err != nil {
		t.Fatal(err)
	}
	second, err := h.Set(ctx, "shard.0", []byte("b"), first)
	if err != nil || second <= first {
		t.Fatalf("set = %d, %v", second, err)
	}
	if v, rev, err := h.Get(ctx, "shard.0"); string(v) != "b" || rev != second || err != nil {
		t.Errorf("get = %q, %d, %v; want b, %d", v, rev, err, second)
	}
}

func TestBucket(t *testing.T) {
	t.Parallel()
	b := open(t, servers(t), "bucket").Ground().Bucket
	ctx := patience(t)
	get := func(name string) (string, error) {
		r, err := b.Get(ctx, name)
		if err != nil {
			return "", err
		}
		defer r.Close()
		text, err := io.ReadAll(r)
		return string(text), err
	}
	large := strings.Repeat("0123456789abcdef", 1<<16)
	for _, tt := range []struct{ name, text string }{
		{"empty", ""}, {"small", "state"}, {"state-00000000000000000042-00000000deadbeef", large}, {"small", "another"},
	} {
		if err := b.Put(ctx, tt.name, strings.NewReader(tt.text)); err != nil {
			t.Fatalf("put %s = %v", tt.name, err)
		}
		if got, err := get(tt.name); got != tt.text || err != nil {
			t.Errorf("get %s = %d bytes, %v; want %d", tt.name, len(got), err, len(tt.text))
		}
	}
	broken := errors.New("the reader broke")
	err := b.Put(ctx, "half", io.MultiReader(strings.NewReader(large), &failing{broken}))
	if !errors.Is(err, broken) {
		t.Errorf("put of what does not read = %v", err)
	}
	names := func() []string {
		list, err := b.Names(ctx)
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(list)
		return list
	}
	if got := names(); !slices.Equal(got, []string{"empty", "small", "state-00000000000000000042-00000000deadbeef"}) {
		t.Errorf("names %q", got)
	}
	for range 2 { // one that is not there is no error
		if err := b.Delete(ctx, "small"); err != nil {
			t.Errorf("delete = %v", err)
		}
	}
	if _, err := get("small"); !errors.Is(err, cluster.ErrNoMessage) {
		t.Errorf("get of a deleted object = %v, want ErrNoMessage", err)
	}
	if got := names(); len(got) != 2 {
		t.Errorf("names after a delete %q", got)
	}
}

type failing struct{ err error }

func (f *failing) Read([]byte) (int, error) { return 0, f.err }
