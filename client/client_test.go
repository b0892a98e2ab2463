package client_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/client"
	"github.com/glassq/glassq/internal/broker"
	"github.com/glassq/glassq/internal/disk"
	"github.com/glassq/glassq/internal/door"
	httpdoor "github.com/glassq/glassq/internal/door/http"
	"github.com/glassq/glassq/internal/freeport"
)

func openStore(t testing.TB) *broker.Broker {
	t.Helper()
	e, err := disk.Open("mem:", disk.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return broker.New(e, glassq.Limits{})
}

func dial(t testing.TB, url string, opt client.Options) *client.Client {
	t.Helper()
	c, err := client.New(url, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// pair is a client of a server over a fresh store.
func pair(t testing.TB) *client.Client {
	t.Helper()
	srv := httptest.NewServer(httpdoor.New(openStore(t), httpdoor.Options{}))
	t.Cleanup(srv.Close)
	return dial(t, srv.URL, client.Options{})
}

func TestNewRefuses(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "ca.pem")
	os.WriteFile(empty, []byte("no certificate"), 0o600)
	for _, tt := range []struct {
		url string
		opt client.Options
	}{
		{"", client.Options{}},
		{"localhost:5080", client.Options{}},
		{"ftp://localhost", client.Options{}},
		{"http://", client.Options{}},
		{"http://localhost?x=1", client.Options{}},
		{"http://localhost", client.Options{Key: "a\nb"}},
		{"http://localhost", client.Options{CAFile: empty}},
		{"http://localhost", client.Options{CAFile: empty + ".none"}},
		{"https://localhost", client.Options{TLS: new(tls.Config), Transport: http.DefaultTransport}},
		{"https://localhost", client.Options{CAFile: empty, Transport: http.DefaultTransport}},
	} {
		if _, err := client.New(tt.url, tt.opt); err == nil {
			t.Errorf("New(%q, %+v) = nil; want an error", tt.url, tt.opt)
		}
	}
}

func TestTasks(t *testing.T) {
	ctx := t.Context()
	c := pair(t)
	put := []glassq.Task{
		{Queue: "a", ID: "x\"1", Body: []byte("text\n"), Type: glassq.TypeText, Headers: map[string]string{"h": "v"},
			Priority: glassq.Level(9)},
		{Queue: "b", Body: []byte{0, 255}, Type: glassq.TypeOctets},
		{Queue: "a", Run: "r", Position: 3, Dense: true, Body: []byte(`{"k":[1,2]}`), Type: glassq.TypeJSON},
		{Queue: "a", ID: "x\"1", Body: []byte("again"), Type: glassq.TypeText},
	}
	receipts, err := c.Put(ctx, put)
	if err != nil || len(receipts) != 4 || !receipts[3].Duplicate || receipts[0].Number == 0 ||
		receipts[2].Number <= receipts[0].Number || receipts[1].Number == 0 {
		t.Fatalf("Put = %+v, %v", receipts, err)
	}
	leases, err := c.Reserve(ctx, glassq.Reserve{Queue: "a", Max: 10, Wait: time.Minute, Lease: 10 * time.Second})
	if err != nil || len(leases) != 2 {
		t.Fatalf("Reserve = %+v, %v; want 2", leases, err)
	}
	for i, k := range []int{0, 2} {
		if l := leases[i]; l.TaskID() != put[k].TaskID() || !bytes.Equal(l.Body, put[k].Body) || l.Type != put[k].Type ||
			l.Length != 10*time.Second || !reflect.DeepEqual(l.Headers, put[k].Headers) {
			t.Errorf("lease %d = %+v; want %+v", i, l, put[k])
		}
	}
	lost := glassq.Token{Queue: "a", Number: 1 << 50}
	errs, err := c.Extend(ctx, []glassq.Extend{{Token: lost}, {Token: leases[0].Token(), Lease: time.Minute}})
	if err != nil || !errors.Is(errs[0], glassq.ErrLeaseLost) || errs[1] != nil {
		t.Errorf("Extend = %v, %v", errs, err)
	}
	say := glassq.Extend{Token: leases[0].Token(), Lease: time.Minute, Seq: 1,
		Progress: &glassq.Progress{Done: 0.4, Note: "n", Checkpoint: []byte{0, 255}},
		Put:      []glassq.Task{{Queue: "partials", Body: []byte("p"), Type: glassq.TypeText}}}
	errs, err = c.Extend(ctx, []glassq.Extend{say, say})
	if err != nil || errs[0] != nil || errs[1] != nil {
		t.Errorf("Extend that says something, twice = %v, %v", errs, err)
	}
	shown, _, err := c.Peek(ctx, "a", glassq.Leased, 0, 10)
	if want := (&glassq.Progress{Done: 0.4, Note: "n", Size: 2}); err != nil || len(shown) != 2 ||
		!reflect.DeepEqual(shown[0].Progress, want) {
		t.Errorf("Peek = %+v, %v; want %+v said of the first", shown, err, want)
	}
	if q, err := c.Queues(ctx, "a", "partials"); err != nil || q[0].Progress.Done != 0.4 || q[1].Ready != 1 {
		t.Errorf("Queues = %+v, %v; want 0.4 done in a, one in partials", q, err)
	}
	errs, err = c.Ack(ctx, []glassq.Ack{
		{Token: leases[1].Token(), Result: &glassq.Task{Body: []byte(`{"i":1,"o":{"ok":0}}`), Type: glassq.TypeJSON},
			Put: []glassq.Task{{Queue: "next", Body: []byte("n"), Type: glassq.TypeText}}},
		{Token: lost},
	})
	if err != nil || errs[0] != nil || !errors.Is(errs[1], glassq.ErrLeaseLost) {
		t.Errorf("Ack = %v, %v", errs, err)
	}
	results, err := c.Reserve(ctx, glassq.Reserve{Queue: "results", Take: true})
	if err != nil || len(results) != 1 || results[0].TaskID() != "r/3" || results[0].OfAttempt != 1 {
		t.Errorf("results = %+v, %v; want that of r/3", results, err)
	}
	run, err := c.Run(ctx, "r")
	if err != nil || run.Books.Failed != 1 {
		t.Errorf("Run = %+v, %v; want one failed", run, err)
	}
	if errs, err = c.Nack(ctx, []glassq.Nack{{Token: leases[0].Token(), Dead: true, Reason: "no"}}); err != nil ||
		errs[0] != nil {
		t.Errorf("Nack = %v, %v", errs, err)
	}
	dead, next, err := c.Peek(ctx, "a", glassq.Dead, 0, 10)
	if err != nil || len(dead) != 1 || next != 0 || dead[0].Reason != "no" || dead[0].State != glassq.Dead ||
		dead[0].TaskID() != "x\"1" {
		t.Errorf("Peek = %+v, %d, %v", dead, next, err)
	}
	if none, err := c.Reserve(ctx, glassq.Reserve{Queue: "none"}); err != nil || len(none) != 0 {
		t.Errorf("Reserve of none = %+v, %v", none, err)
	}
	if _, err := c.Put(ctx, []glassq.Task{{Queue: "a/b"}}); !errors.Is(err, glassq.ErrBadName) {
		t.Errorf("Put to a/b = %v; want bad_name", err)
	}
}

func TestRange(t *testing.T) {
	ctx := t.Context()
	c := pair(t)
	put := []glassq.Task{
		{Queue: "a", Run: "r", Position: 4, Dense: true, Body: []byte("x"), Type: glassq.TypeText},
		{Queue: "a", Run: "r", Position: 2, Dense: true, Range: &glassq.Range{Count: 1_000_000_000, Add: 10},
			Body: []byte(`{"u":"{0:04}"}`), Type: glassq.TypeJSON, Priority: glassq.Level(9)},
		{Queue: "a", Body: []byte("y"), Type: glassq.TypeText},
		{Queue: "a", Run: "r", Position: 7, Dense: true, Range: &glassq.Range{Count: 100}, Body: []byte("{0}")},
	}
	receipts, err := c.Put(ctx, put)
	if err != nil || receipts[0].Number != 1 || receipts[1] != (glassq.Receipt{Number: 2, Put: 999_999_999}) ||
		receipts[2].Number != 1_000_000_001 || !receipts[3].Duplicate {
		t.Fatalf("Put = %+v, %v", receipts, err)
	}
	leases, err := c.Reserve(ctx, glassq.Reserve{Queue: "a", Max: 3})
	if err != nil || len(leases) != 3 {
		t.Fatalf("Reserve = %+v, %v; want 3", leases, err)
	}
	for i, n := range []uint32{2, 3, 5} {
		if l := leases[i]; l.TaskID() != glassq.DenseID("r", n) || string(l.Body) != fmt.Sprintf(`{"u":"%04d"}`, n+10) ||
			l.Type != glassq.TypeJSON || l.Range != nil {
			t.Errorf("lease %d = %+v; want position %d", i, l, n)
		}
	}
	for _, tt := range []struct {
		name string
		task glassq.Task
		code glassq.Code
	}{
		{"no run", glassq.Task{Queue: "a", Dense: true, Range: &glassq.Range{Count: 1}}, glassq.CodeBadRequest},
		{"no positions", glassq.Task{Queue: "a", Run: "r", Dense: true, Range: &glassq.Range{}}, glassq.CodeBadRequest},
		{"beyond", glassq.Task{Queue: "a", Run: "r", Position: 1, Dense: true, Range: &glassq.Range{Count: 1 << 32}},
			glassq.CodeBadRequest},
		{"numbers beyond", glassq.Task{Queue: "a", Run: "r", Dense: true, Range: &glassq.Range{Count: 2, Add: 1<<64 - 1}},
			glassq.CodeBadRequest},
	} {
		if _, err := c.Put(ctx, []glassq.Task{tt.task}); glassq.CodeOf(err) != tt.code {
			t.Errorf("%s: Put = %v; want %s", tt.name, err, tt.code)
		}
	}
	ack := glassq.Ack{Token: leases[0].Token(), Put: put[1:2], Result: &glassq.Task{Body: []byte("1")}}
	if errs, err := c.Ack(ctx, []glassq.Ack{ack}); err != nil || errs[0] != nil {
		t.Errorf("Ack that puts the range again = %v, %v", errs, err)
	}
	long := strings.Repeat("x", glassq.DefaultMaxBody-8)
	_, err = c.Put(ctx, []glassq.Task{{Queue: "a", Run: "s", Dense: true, Range: &glassq.Range{Count: 11}, Body: []byte(long + "{0:020}"),
		Type: glassq.TypeText}})
	if glassq.CodeOf(err) != glassq.CodeTooLarge || !strings.Contains(err.Error(), "the last body of the range has") {
		t.Errorf("Put of a range whose last body is too large = %v", err)
	}
}

func TestPutSplits(t *testing.T) {
	srv := httptest.NewServer(httpdoor.New(broker.New(openStore(t), glassq.Limits{MaxBody: 1000}), httpdoor.Options{}))
	defer srv.Close()
	c := dial(t, srv.URL, client.Options{})
	tasks := make([]glassq.Task, 2*glassq.MaxBatch+5)
	for i := range tasks {
		tasks[i] = glassq.Task{Queue: "q", Run: "r", Position: uint32(i), Dense: true, Body: []byte("x"),
			Type: glassq.TypeText}
	}
	receipts, err := c.Put(t.Context(), tasks)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range receipts {
		if r.Duplicate || r.Number == 0 || i > 0 && r.Number <= receipts[i-1].Number {
			t.Fatalf("receipt %d = %+v after %+v", i, r, receipts[max(i, 1)-1])
		}
	}
	list, err := c.RunIDs(t.Context(), "r", glassq.IDsPut, 0, 10)
	if err != nil || len(list) != 1 || list[0] != (glassq.Interval{First: 0, Last: uint32(len(tasks) - 1)}) {
		t.Errorf("RunIDs = %v, %v", list, err)
	}
	tasks = tasks[:glassq.MaxBatch+1]
	tasks[glassq.MaxBatch].Body = make([]byte, 1001)
	if _, err := c.Put(t.Context(), tasks); !errors.Is(err, glassq.ErrTooLarge) ||
		!strings.Contains(err.Error(), "10000 of 10001 tasks were stored") {
		t.Errorf("Put with a large body = %v", err)
	}
}

func TestOperator(t *testing.T) {
	ctx := t.Context()
	c := pair(t)
	for n := range 10 {
		if _, err := c.Put(ctx, []glassq.Task{{Queue: "q", Run: "r", Position: uint32(2 * n), Dense: true}}); err != nil {
			t.Fatal(err)
		}
	}
	paused := true
	if s, err := c.Configure(ctx, "q", glassq.SettingsChange{Paused: &paused}); err != nil || !s.Paused {
		t.Errorf("Configure = %+v, %v", s, err)
	}
	for _, names := range [][]string{nil, {"q"}} {
		if q, err := c.Queues(ctx, names...); err != nil || len(q) != 1 || q[0].Ready != 10 || !q[0].Settings.Paused {
			t.Errorf("Queues(%v) = %+v, %v", names, q, err)
		}
	}
	if _, err := c.Queues(ctx, "none"); !errors.Is(err, glassq.ErrNotFound) {
		t.Errorf("Queues(none) = %v", err)
	}
	seen := 0
	for cursor := uint64(0); ; {
		page, next, err := c.Peek(ctx, "q", glassq.Ready, cursor, 3)
		if err != nil {
			t.Fatal(err)
		}
		if seen += len(page); next == 0 {
			break
		}
		cursor = next
	}
	if seen != 10 {
		t.Errorf("Peek showed %d; want 10", seen)
	}
	if list, err := c.RunIDs(ctx, "r", glassq.IDsPut, 3, 2); err != nil || len(list) != 2 || list[0].First != 4 ||
		list[1].Last != 6 {
		t.Errorf("RunIDs = %v, %v", list, err)
	}
	if run, err := c.SetRun(ctx, "r2", glassq.RunChange{Source: "s", Queue: "q2"}); err != nil || run.Source != "s" {
		t.Errorf("SetRun = %+v, %v", run, err)
	}
	if runs, err := c.Runs(ctx); err != nil || len(runs) != 2 {
		t.Errorf("Runs = %+v, %v", runs, err)
	}
	if _, err := c.AwaitRun(ctx, "none", glassq.PhaseExists, time.Millisecond); !errors.Is(err, glassq.ErrNotFound) {
		t.Errorf("AwaitRun(none) = %v", err)
	}
	if run, err := c.AwaitRun(ctx, "r", glassq.PhaseComplete, time.Millisecond); err != nil || run.Complete {
		t.Errorf("AwaitRun(r, complete) = %+v, %v", run, err)
	}
	if n, err := c.CancelRun(ctx, "r"); err != nil || n != 10 {
		t.Errorf("CancelRun = %d, %v", n, err)
	}
	if run, err := c.AwaitRun(ctx, "r", glassq.PhaseDrained, time.Minute); err != nil || !run.Complete {
		t.Errorf("AwaitRun(r, drained) = %+v, %v", run, err)
	}
	if err := c.DropRun(ctx, "r"); err != nil {
		t.Errorf("DropRun = %v", err)
	}
	if err := c.DropRun(ctx, "r2"); !errors.Is(err, glassq.ErrRunConflict) {
		t.Errorf("DropRun of a run that is not sealed = %v", err)
	}
	if n, err := c.Redrive(ctx, "q", 3); err != nil || n != 0 {
		t.Errorf("Redrive = %d, %v", n, err)
	}
	if n, err := c.Purge(ctx, "q", glassq.Ready, glassq.Dead); err != nil || n != 0 {
		t.Errorf("Purge = %d, %v", n, err)
	}
	if err := c.Drop(ctx, "q"); err != nil {
		t.Errorf("Drop = %v", err)
	}
	if st, err := c.Stats(ctx); err != nil || st.Disk.Sync != "memory" {
		t.Errorf("Stats = %+v, %v", st, err)
	}
}

// freeAddress is an address where nobody listens.
func freeAddress(t *testing.T) string {
	addrs, err := freeport.Addresses(1)
	if err != nil {
		t.Fatal(err)
	}
	return addrs[0]
}

func TestUnreachable(t *testing.T) {
	addr := freeAddress(t)
	c := dial(t, "http://"+addr, client.Options{})
	if _, err := c.Stats(t.Context()); !errors.Is(err, client.ErrUnreachable) || !strings.Contains(err.Error(), addr) {
		t.Errorf("Stats = %v; want ErrUnreachable", err)
	}
	notified := 0
	c = dial(t, "http://"+addr, client.Options{Retry: 200 * time.Millisecond, Notify: func(error) { notified++ }})
	if _, err := c.Stats(t.Context()); !errors.Is(err, client.ErrUnreachable) || notified != 1 {
		t.Errorf("Stats = %v after %d notices; want ErrUnreachable, 1", err, notified)
	}
	ctx, cancel := context.WithCancel(t.Context())
	c = dial(t, "http://"+addr, client.Options{Retry: -1, Notify: func(error) { cancel() }})
	if _, err := c.Stats(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled Stats = %v; want context.Canceled", err)
	}
}

// TestOutcome: the code of a call that has no answer tells whether it may have been done, whether ctx has
// ended it or the time for retries is over.
func TestOutcome(t *testing.T) {
	put := func(ctx context.Context, c *client.Client) error {
		_, err := c.Put(ctx, []glassq.Task{{Queue: "q", Body: []byte("x")}})
		return err
	}
	reserve := func(ctx context.Context, c *client.Client) error {
		_, err := c.Reserve(ctx, glassq.Reserve{Queue: "q", Wait: -1})
		return err
	}
	take := func(ctx context.Context, c *client.Client) error {
		_, err := c.Reserve(ctx, glassq.Reserve{Queue: "q", Wait: -1, Take: true})
		return err
	}
	list := func(ctx context.Context, c *client.Client) error {
		_, err := c.Queues(ctx)
		return err
	}
	tests := []struct {
		name  string
		call  func(context.Context, *client.Client) error
		early bool // ctx ends before the call
		code  glassq.Code
	}{
		{"a put", put, false, glassq.CodeUnknown},
		{"a put that was not sent", put, true, glassq.CodeInternal}, // that of an error without one
		{"a reserve, which is given back", reserve, false, glassq.CodeInternal},
		{"a take", take, false, glassq.CodeUnknown},
		{"a list", list, false, glassq.CodeInternal},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				io.Copy(io.Discard, r.Body)
				cancel()
				<-r.Context().Done()
			}))
			defer srv.Close()
			c := dial(t, srv.URL, client.Options{})
			if tt.early {
				cancel()
			}
			if err := tt.call(ctx, c); !errors.Is(err, context.Canceled) || glassq.CodeOf(err) != tt.code {
				t.Errorf("%v with code %s; want context.Canceled, %s", err, glassq.CodeOf(err), tt.code)
			}
		})
	}
	t.Run("a server that is gone after the first attempt", func(t *testing.T) {
		var srv *httptest.Server
		srv = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			srv.Listener.Close()
			panic(http.ErrAbortHandler)
		}))
		defer srv.Close()
		c := dial(t, srv.URL, client.Options{Retry: 300 * time.Millisecond})
		if err := put(t.Context(), c); !errors.Is(err, client.ErrUnreachable) || glassq.CodeOf(err) != glassq.CodeUnknown {
			t.Errorf("Put = %v with code %s; want ErrUnreachable, %s", err, glassq.CodeOf(err), glassq.CodeUnknown)
		}
	})
}

// TestRetry: 503 is repeated until the server is back; the answer of the last try counts.
func TestRetry(t *testing.T) {
	door := httpdoor.New(openStore(t), httpdoor.Options{})
	var tries atomic.Int32
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch tries.Add(1) {
		case 1:
			w.WriteHeader(http.StatusServiceUnavailable)
		case 2:
			panic(http.ErrAbortHandler) // the connection breaks
		default:
			door.ServeHTTP(w, r)
		}
	}))
	defer srv.Close()
	c := dial(t, srv.URL, client.Options{Retry: time.Minute})
	if receipts, err := c.Put(t.Context(), []glassq.Task{{Queue: "q", ID: "a"}}); err != nil || receipts[0].Duplicate ||
		tries.Load() != 3 {
		t.Errorf("Put = %+v, %v after %d tries", receipts, err, tries.Load())
	}
}

// TestNackTwice: of a nack whose first attempt was done, and not answered, nobody says that it was not done.
func TestNackTwice(t *testing.T) {
	store := openStore(t)
	door := httpdoor.New(store, httpdoor.Options{})
	var breaks atomic.Bool
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if breaks.CompareAndSwap(true, false) {
			door.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		}
		door.ServeHTTP(w, r)
	}))
	defer srv.Close()
	c := dial(t, srv.URL, client.Options{Retry: time.Minute})
	if _, err := c.Put(t.Context(), []glassq.Task{{Queue: "q"}, {Queue: "q"}}); err != nil {
		t.Fatal(err)
	}
	leases, err := c.Reserve(t.Context(), glassq.Reserve{Queue: "q", Max: 2})
	if err != nil || len(leases) != 2 {
		t.Fatalf("Reserve = %d leases, %v; want 2", len(leases), err)
	}
	breaks.Store(true)
	errs, err := c.Nack(t.Context(), []glassq.Nack{{Token: leases[0].Token()}})
	if err != nil || glassq.CodeOf(errs[0]) != glassq.CodeUnknown || !errors.Is(errs[0], glassq.ErrLeaseLost) {
		t.Errorf("Nack = %v, %v; want outcome_unknown, and that the lease is lost", errs, err)
	}
	errs, err = c.Nack(t.Context(), []glassq.Nack{{Token: leases[0].Token()}})
	if err != nil || glassq.CodeOf(errs[0]) != glassq.CodeLeaseLost {
		t.Errorf("another Nack = %v, %v; want lease_lost", errs, err)
	}
	breaks.Store(true)
	errs, err = c.Ack(t.Context(), []glassq.Ack{{Token: leases[1].Token()}})
	if err != nil || errs[0] != nil {
		t.Errorf("Ack = %v, %v; want that it is done", errs, err)
	}
}

func TestKey(t *testing.T) {
	srv := httptest.NewServer(httpdoor.New(openStore(t),
		httpdoor.Options{Frame: door.Frame{Access: door.NewAccess([]byte("k"))}}))
	defer srv.Close()
	if _, err := dial(t, srv.URL, client.Options{Key: "k"}).Stats(t.Context()); err != nil {
		t.Errorf("with the key: %v", err)
	}
	_, err := dial(t, srv.URL, client.Options{Key: "x", Retry: -1}).Stats(t.Context())
	if glassq.CodeOf(err) != glassq.CodeUnauthorized {
		t.Errorf("with another key: %v; want unauthorized at once", err)
	}
}

func TestTLS(t *testing.T) {
	srv := httptest.NewUnstartedServer(httpdoor.New(openStore(t), httpdoor.Options{}))
	srv.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	srv.StartTLS()
	defer srv.Close()
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}),
		0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := dial(t, srv.URL, client.Options{CAFile: file}).Stats(t.Context()); err != nil {
		t.Errorf("with the authority: %v", err)
	}
	if _, err := dial(t, srv.URL, client.Options{Retry: -1}).Stats(t.Context()); !errors.Is(err, client.ErrUnreachable) {
		t.Errorf("without the authority: %v; want ErrUnreachable at once", err)
	}
}

func TestNotOurServer(t *testing.T) {
	srv := httptest.NewServer(http.NotFoundHandler())
	defer srv.Close()
	if _, err := dial(t, srv.URL, client.Options{}).Stats(t.Context()); !errors.Is(err, glassq.ErrNotFound) ||
		!strings.Contains(err.Error(), "is it a glassq server?") {
		t.Errorf("Stats = %v", err)
	}
}

// TestReserveWaits: a parked reserve gets the task that comes later, ends with ctx, and ends with
// Close.
func TestReserveWaits(t *testing.T) {
	c := pair(t)
	var wg sync.WaitGroup
	defer wg.Wait()
	waiting := func() {
		for {
			if q, err := c.Queues(t.Context()); err != nil || len(q) > 0 && q[0].Waiters > 0 {
				return
			}
		}
	}
	wg.Go(func() {
		waiting()
		c.Put(t.Context(), []glassq.Task{{Queue: "q", Body: []byte("late")}})
	})
	if l, err := c.Reserve(t.Context(), glassq.Reserve{Queue: "q", Wait: -1}); err != nil || len(l) != 1 ||
		string(l[0].Body) != "late" {
		t.Errorf("Reserve = %+v, %v", l, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	wg.Go(func() {
		waiting()
		cancel()
	})
	if _, err := c.Reserve(ctx, glassq.Reserve{Queue: "q", Wait: time.Hour}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled Reserve = %v", err)
	}
	wg.Go(func() {
		waiting()
		c.Close()
	})
	if _, err := c.Reserve(t.Context(), glassq.Reserve{Queue: "q", Wait: time.Hour}); !errors.Is(err, glassq.ErrClosed) {
		t.Errorf("Reserve after Close = %v", err)
	}
	if _, err := c.Stats(t.Context()); !errors.Is(err, glassq.ErrClosed) {
		t.Errorf("Stats after Close = %v", err)
	}
}

func BenchmarkPut1000(b *testing.B) {
	c := pair(b)
	tasks := make([]glassq.Task, 1000)
	n := uint32(0)
	b.ReportAllocs()
	for b.Loop() {
		for i := range tasks {
			tasks[i] = glassq.Task{Queue: "q", Run: "r", Position: n, Dense: true, Body: []byte("http://localhost:8888/?q=7"),
				Type: glassq.TypeText}
			n++
		}
		if _, err := c.Put(b.Context(), tasks); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/task")
}

// A direct sends requests to a handler without a socket, as far as there is one.
type direct struct {
	to    http.Handler
	seen  []string // methods and paths
	idled int      // calls of CloseIdleConnections
}

func (d *direct) RoundTrip(r *http.Request) (*http.Response, error) {
	d.seen = append(d.seen, r.Method+" "+r.URL.Path+" "+r.Header.Get("Authorization"))
	if d.to == nil {
		return nil, &net.OpError{Op: "dial", Err: errors.New("no way there")}
	}
	rec := httptest.NewRecorder()
	d.to.ServeHTTP(rec, r)
	return rec.Result(), nil
}

func (d *direct) CloseIdleConnections() { d.idled++ }

// TestTransport: a program's own transport sends every request, its errors are told as those of the
// client's own, and it outlives the client.
func TestTransport(t *testing.T) {
	d := &direct{to: httpdoor.New(openStore(t), httpdoor.Options{})}
	c := dial(t, "http://localhost", client.Options{Key: "k", Transport: d})
	if _, err := c.Put(t.Context(), []glassq.Task{{Queue: "q", Body: []byte("x")}}); err != nil {
		t.Fatal(err)
	}
	leases, err := c.Reserve(t.Context(), glassq.Reserve{Queue: "q"})
	if err != nil || len(leases) != 1 {
		t.Fatalf("Reserve = %+v, %v", leases, err)
	}
	want := []string{"POST /v1/queues/q/tasks Bearer k", "POST /v1/queues/q/reserve Bearer k"}
	if !reflect.DeepEqual(d.seen, want) {
		t.Errorf("the transport saw %q, want %q", d.seen, want)
	}
	d.to = nil
	_, err = c.Put(t.Context(), []glassq.Task{{Queue: "q"}})
	if !errors.Is(err, client.ErrUnreachable) || errors.Is(err, glassq.ErrUnknown) {
		t.Errorf("Put without a way = %v; want unavailable, as nothing was sent", err)
	}
	if err := c.Close(); err != nil || d.idled != 0 {
		t.Errorf("Close = %v, and closed idle connections %d times; want 0", err, d.idled)
	}
}

// TestLostAnswer: when the connection breaks after a put was sent, its outcome is unknown, and a
// client that repeats gives the same ids again, so the server stores nothing twice. Without a
// connection nothing was done.
func TestLostAnswer(t *testing.T) {
	door := httpdoor.New(openStore(t), httpdoor.Options{})
	var bodies [][]byte
	lossy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		bodies = append(bodies, body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		if len(bodies)%2 == 1 { // done, and nobody hears of it
			door.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		}
		door.ServeHTTP(w, r)
	}))
	defer lossy.Close()
	tasks := []glassq.Task{{Queue: "lost", Body: []byte("a")}, {Queue: "lost", ID: "own", Body: []byte("b")},
		{Queue: "lost", Run: "r", Dense: true}}
	c := dial(t, lossy.URL, client.Options{Retry: time.Minute})
	got, err := c.Put(t.Context(), tasks)
	if err != nil || len(bodies) != 2 || !bytes.Equal(bodies[0], bodies[1]) || len(got) != 3 || !got[0].Duplicate ||
		tasks[0].ID != "" {
		t.Errorf("Put = %+v, %v after %q; want the same twice, and duplicates", got, err, bodies)
	}
	once := dial(t, lossy.URL, client.Options{})
	if _, err := once.Put(t.Context(), tasks); !errors.Is(err, glassq.ErrUnknown) ||
		!errors.Is(err, client.ErrUnreachable) {
		t.Errorf("Put without an answer = %v; want outcome_unknown, and ErrUnreachable below it", err)
	}
	lossy.Close()
	if _, err := once.Put(t.Context(), tasks); glassq.CodeOf(err) != glassq.CodeUnavailable {
		t.Errorf("Put without a server = %v; want unavailable", err)
	}
}

// TestAckTooLarge: an ack that is larger than a request may be is refused for itself, as every store
// does, and those beside it are done.
func TestAckTooLarge(t *testing.T) {
	c, ctx := pair(t), t.Context()
	if _, err := c.Put(ctx, []glassq.Task{{Queue: "q"}, {Queue: "q"}, {Queue: "q"}}); err != nil {
		t.Fatal(err)
	}
	leases, err := c.Reserve(ctx, glassq.Reserve{Queue: "q", Max: 3})
	if err != nil || len(leases) != 3 {
		t.Fatalf("reserve = %d leases, %v", len(leases), err)
	}
	acks := make([]glassq.Ack, 3)
	for i := range acks {
		acks[i].Token = leases[i].Token()
	}
	acks[1].Result = &glassq.Task{Body: make([]byte, 40<<20), Type: glassq.TypeOctets} // more as base64
	errs, err := c.Ack(ctx, acks)
	if err != nil || len(errs) != 3 || errs[0] != nil || glassq.CodeOf(errs[1]) != glassq.CodeTooLarge || errs[2] != nil {
		t.Errorf("acks of which one is too large = %v, %v; want that one refused", errs, err)
	}
}

// TestWarnings: a near miss among a task's own members comes back in its receipt, and a negative
// duration is refused.
func TestWarnings(t *testing.T) {
	c := pair(t)
	own, near := []byte(`{"own":1}`), []byte(`{"prio":9}`)
	got, err := c.Put(t.Context(), []glassq.Task{{Queue: "q", Extra: own}, {Queue: "q", Extra: near}})
	if err != nil || got[0].Warning != "" || !strings.Contains(got[1].Warning, `"priority"`) || got[1].Number == 0 {
		t.Errorf("Put = %+v, %v; want a warning of the second", got, err)
	}
	for _, task := range []glassq.Task{{Delay: -1}, {TTL: -time.Second}, {Lease: -time.Hour},
		{Delay: 2 * glassq.MaxDelay}} {
		task.Queue = "q"
		if _, err := c.Put(t.Context(), []glassq.Task{task}); !errors.Is(err, glassq.ErrBadRequest) {
			t.Errorf("Put with delay %v, ttl %v, lease %v = %v; want bad_request", task.Delay, task.TTL, task.Lease, err)
		}
	}
	if _, err := c.Reserve(t.Context(), glassq.Reserve{Queue: "q", Max: -1}); !errors.Is(err, glassq.ErrBadRequest) {
		t.Errorf("Reserve of -1 = %v; want bad_request", err)
	}
}
