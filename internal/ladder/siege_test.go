package ladder

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/client"
	"github.com/glassq/glassq/internal/freeport"
	"github.com/glassq/glassq/internal/history"
)

// build makes the real program and returns its path.
func build(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "glassq")
	if runtime.GOOS == "windows" {
		path += ".exe"
	}
	if out, err := exec.Command("go", "build", "-o", path,
		"github.com/glassq/glassq/cmd/glassq").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return path
}

// A server is the real program as a process, always on the same port.
type server struct {
	t    *testing.T
	args []string
	addr string
	cmd  *exec.Cmd
	said transcript // of all its lives

	life *life // of cmd, or of the last one
}

// A life is one process of a server.
type life struct {
	over chan struct{} // closed when it has ended
	code int           // its exit code, once it is over
}

// A transcript keeps what a process says while it is said.
type transcript struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (w *transcript) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.Write(b)
}

func (w *transcript) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}

func newServer(t *testing.T, binary, data string, more ...string) *server {
	addrs, err := freeport.Addresses(1)
	if err != nil {
		t.Fatal(err)
	}
	return newServerAt(t, addrs[0], nil, binary, data, more...)
}

// newServerAt is newServer at an address, run by a command such as ip netns exec g1.
func newServerAt(t *testing.T, addr string, under []string, binary, data string, more ...string) *server {
	args := slices.Concat(under, []string{binary, "serve", "--data", data, "--http", addr}, more)
	help, err := exec.Command(binary, "serve", "--help").CombinedOutput()
	if err != nil {
		t.Fatalf("serve --help: %v", err)
	}
	for _, door := range []string{"--memcached", "--manager"} {
		if strings.Contains(string(help), door+" ") {
			args = append(args, door, "off")
		}
	}
	s := &server{t: t, args: args, addr: addr}
	t.Cleanup(func() {
		if s.cmd != nil {
			s.kill()
		}
		if t.Failed() {
			t.Logf("the server said, in all its lives:\n%s", s.said.String())
		}
	})
	return s
}

// start starts the program and waits until it answers. An error says that it ended instead.
func (s *server) start() error {
	fmt.Fprintf(&s.said, "--- started at %s\n", time.Now().Format(time.TimeOnly))
	s.cmd = exec.Command(s.args[0], s.args[1:]...)
	s.cmd.Stderr = &s.said
	if err := s.cmd.Start(); err != nil {
		return err
	}
	now := &life{over: make(chan struct{})}
	s.life = now
	go func(cmd *exec.Cmd) { // ends with the process, which kill ends
		cmd.Wait()
		now.code = cmd.ProcessState.ExitCode()
		close(now.over)
	}(s.cmd)
	for range 3000 {
		conn, err := net.DialTimeout("tcp", s.addr, time.Second)
		if err == nil {
			conn.Close()
			return nil
		}
		select {
		case <-now.over:
			s.cmd = nil
			return fmt.Errorf("the server ended at its start: %s", s.said.String())
		case <-time.After(10 * time.Millisecond):
		}
	}
	return errors.New("the server does not listen")
}

// kill ends the process at once, whatever it does, and waits until its port is free.
func (s *server) kill() {
	s.cmd.Process.Kill()
	for {
		conn, err := net.DialTimeout("tcp", s.addr, time.Second)
		if err != nil {
			break
		}
		conn.Close()
	}
	s.cmd = nil
}

// A siege is a crowd of clients that put and work while servers come and go, and what they saw.
// Each call goes to any of the servers.
type siege struct {
	t      *testing.T
	all    []*client.Client
	lease  time.Duration
	start  time.Time
	seed   maphash.Seed
	acked  atomic.Int64 // acks answered OK, ever
	names  atomic.Int64
	open   atomic.Int64 // tasks put and not acked, about
	paused atomic.Bool  // nobody puts

	mu  sync.Mutex
	ops []history.Op
}

func newSiege(t *testing.T, addrs ...string) *siege {
	s := &siege{t: t, lease: time.Second, start: time.Now(), seed: maphash.MakeSeed()}
	for _, addr := range addrs {
		c, err := client.New("http://"+addr, client.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		s.all = append(s.all, c)
	}
	return s
}

// client is that of any server.
func (s *siege) client(rng *rand.Rand) *client.Client { return s.all[rng.IntN(len(s.all))] }

func (s *siege) now() int64 { return int64(time.Since(s.start)) }

func (s *siege) note(ops ...history.Op) {
	s.mu.Lock()
	s.ops = append(s.ops, ops...)
	s.mu.Unlock()
}

func (s *siege) body(kind string, rng *rand.Rand) []byte {
	b := fmt.Appendf(nil, "%s%d ", kind, s.names.Add(1))
	for range rng.IntN(200) {
		b = append(b, 'x')
	}
	return b
}

func (s *siege) sum(b []byte) uint64 { return maphash.Bytes(s.seed, b) }

func name(b []byte) string { n, _, _ := bytes.Cut(b, []byte(" ")); return string(n) }

// outcome of a call as a whole. What a client cannot tell, outcome_unknown and a server that was
// away alike, may have been done.
func outcome(err error) history.Outcome {
	switch {
	case err == nil:
		return history.OK
	case glassq.CodeOf(err) == glassq.CodeLeaseLost, glassq.CodeOf(err) == glassq.CodeStorageFull:
		return history.Refused
	}
	return history.Unknown
}

// pause keeps a client from spinning while the server is away; it is a pace, not a wait for
// anything.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// write puts small batches until ctx is done. mostOpen bounds what is under way.
func (s *siege) write(ctx context.Context, rng *rand.Rand, mostOpen int64) {
	for ctx.Err() == nil {
		if s.open.Load() > mostOpen || s.paused.Load() {
			pause(ctx, 5*time.Millisecond)
			continue
		}
		ts := make([]glassq.Task, 1+rng.IntN(6))
		ops := make([]history.Op, len(ts))
		for i := range ts {
			level := rng.IntN(2)
			ts[i] = glassq.Task{Queue: "siege", Body: s.body("t", rng), Priority: glassq.Level(level)}
			ops[i] = history.Op{Kind: history.Put, Task: name(ts[i].Body), Lane: fmt.Sprint(level), Sum: s.sum(ts[i].Body)}
		}
		began := s.now()
		receipts, err := s.client(rng).Put(context.WithoutCancel(ctx), ts)
		ended := s.now()
		for i := range ops {
			ops[i].Start, ops[i].End, ops[i].Outcome = began, ended, outcome(err)
			if err == nil {
				ops[i].Number = receipts[i].Number
			}
		}
		s.note(ops...)
		if err != nil {
			pause(ctx, 10*time.Millisecond)
		} else {
			s.open.Add(int64(len(ts)))
			pause(ctx, time.Millisecond)
		}
	}
}

// work takes tasks of a queue and acks them, most with a result and a follow-up, until ctx is done.
func (s *siege) work(ctx context.Context, rng *rand.Rand, queue string) {
	for ctx.Err() == nil {
		began := s.now()
		leases, err := s.client(rng).Reserve(context.WithoutCancel(ctx),
			glassq.Reserve{Queue: queue, Max: 1 + rng.IntN(20), Lease: s.lease, Wait: 100 * time.Millisecond})
		ended := s.now()
		if err != nil {
			s.note(history.Op{Kind: history.Blind, Start: began, End: ended, Outcome: history.Unknown})
			pause(ctx, 10*time.Millisecond)
			continue
		}
		s.settle(ctx, rng, queue, leases, began, ended)
	}
}

func (s *siege) settle(ctx context.Context, rng *rand.Rand, queue string, leases []glassq.Lease, began, ended int64) {
	var ops []history.Op
	var acks []glassq.Ack
	var ackOps []history.Op
	for i := range leases {
		l := &leases[i]
		// The lease began at some moment of the call, and on a loaded machine its answer may have
		// taken long: it is known to be live only until the earliest moment at which it can run
		// out.
		ops = append(ops, history.Op{Kind: history.Lease, Task: name(l.Body), Number: l.Number, Attempt: l.Attempt,
			Start: began, End: ended, Until: began + int64(s.lease), Sum: s.sum(l.Body)})
		switch p := rng.IntN(20); {
		case p == 0 && !s.paused.Load(): // left to run out
		case p == 1 && !s.paused.Load():
			n := glassq.Nack{Token: l.Token(), Delay: glassq.AtOnce, Undone: rng.IntN(2) == 0}
			op := history.Op{Kind: history.Nack, Task: name(l.Body), Number: l.Number, Undone: n.Undone, Start: s.now()}
			errs, err := s.client(rng).Nack(context.WithoutCancel(ctx), []glassq.Nack{n})
			if err == nil {
				err = errs[0]
			}
			op.End, op.Outcome = s.now(), outcome(err)
			s.note(op)
		default:
			a := glassq.Ack{Token: l.Token()}
			op := history.Op{Kind: history.Ack, Task: name(l.Body), Number: l.Number}
			if queue == "siege" && p < 15 {
				a.Result = &glassq.Task{Body: s.body("r", rng)}
				a.Put = []glassq.Task{{Queue: "after", Body: s.body("f", rng)}}
				op.Gives = []string{name(a.Result.Body), name(a.Put[0].Body)}
			}
			acks, ackOps = append(acks, a), append(ackOps, op)
		}
	}
	s.note(ops...)
	if len(acks) == 0 {
		return
	}
	at := s.now()
	errs, err := s.client(rng).Ack(context.WithoutCancel(ctx), acks)
	end := s.now()
	for i := range ackOps {
		op := &ackOps[i]
		op.Start, op.End, op.Outcome = at, end, outcome(err)
		if err == nil {
			op.Outcome = outcome(errs[i])
		}
		if op.Outcome == history.OK {
			s.acked.Add(1)
			if queue == "siege" {
				s.open.Add(-1)
			}
		}
	}
	s.note(ackOps...)
}

var siegeQueues = []string{"siege", "after", glassq.DefaultResults}

// crowd starts writers and workers; the function it returns stops them and waits for them.
func (s *siege) crowd(seed uint64, writers, workers int, mostOpen int64) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() { s.write(ctx, rand.New(rand.NewPCG(seed, uint64(i))), mostOpen) })
	}
	for i := range workers {
		wg.Go(func() { s.work(ctx, rand.New(rand.NewPCG(seed, uint64(1000+i))), siegeQueues[i%len(siegeQueues)]) })
	}
	return func() { cancel(); wg.Wait() }
}

// drain waits, with workers at work and nobody putting, until nothing is left, and checks the
// books.
func (s *siege) drain() error {
	s.paused.Store(true)
	defer s.paused.Store(false)
	stop := s.crowd(99, 0, 9, 0)
	defer stop()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	for {
		left := int64(0)
		for _, q := range siegeQueues {
			qs, err := s.all[0].Queues(ctx, q)
			if errors.Is(err, glassq.ErrNotFound) {
				continue
			}
			if err != nil {
				return fmt.Errorf("drain: %w", err)
			}
			info := &qs[0]
			left += info.Delayed + info.Ready + info.Leased
			if b := info.Books; b.Pending() != info.Pending || info.Pending != uint64(info.Delayed+info.Ready+info.Leased) ||
				b.Dead.Sum() > 0 {
				return fmt.Errorf("queue %s: the books do not balance: %+v", q, info)
			}
		}
		if left == 0 {
			return nil
		}
		pause(ctx, 20*time.Millisecond)
	}
}

// unheard makes what clients heard after the power began to go, at the moment at, unknown to them:
// with a real cut nobody hears anything from then on. The file system that goes down under a living
// kernel does let a sync return as done whose data is lost, see docs/decisions/0021. It is called
// before the server starts anew.
func (s *siege) unheard(at int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.ops {
		switch op := &s.ops[i]; {
		case op.End <= at || op.Kind == history.Crash || op.Kind == history.Blind:
		case op.Kind == history.Lease:
			*op = history.Op{Kind: history.Blind, Start: op.Start, End: op.End, Outcome: history.Unknown}
		default:
			op.Outcome = history.Unknown
		}
	}
}

// keep writes a history that has faults to a file which outlives the test, one call a line, and
// says where. mu is held.
func (s *siege) keep() {
	f, err := os.CreateTemp("", "glassq-history-*.ndjson")
	if err != nil {
		s.t.Errorf("keep the history: %v", err)
		return
	}
	defer f.Close()
	w := bufio.NewWriter(f)
	enc := json.NewEncoder(w)
	for i := range s.ops {
		if err := enc.Encode(&s.ops[i]); err != nil {
			s.t.Errorf("keep the history: %v", err)
			return
		}
	}
	if err := w.Flush(); err != nil {
		s.t.Errorf("keep the history: %v", err)
		return
	}
	s.t.Logf("the history of %d calls is in %s", len(s.ops), f.Name())
}

// judge checks what was seen and begins a new history.
func (s *siege) judge() *history.Report {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := history.Check(s.ops, history.Options{Slack: int64(50 * time.Millisecond), Drained: true})
	if r.Faults() > 0 {
		s.keep()
	}
	s.ops = s.ops[:0]
	s.open.Store(0)
	return r
}

// sums adds up reports.
type sums struct{ puts, leases, acks, duplicates, unknown, faults int }

func (s *sums) add(r *history.Report) {
	s.puts += r.Puts
	s.leases += r.Leases
	s.acks += r.Acks
	s.duplicates += r.Duplicates
	s.unknown += r.Unknown
	s.faults += r.Faults()
}

func (s *sums) String() string {
	return fmt.Sprintf("puts=%d hand_outs=%d acks=%d duplicates=%d unknown=%d faults=%d", s.puts, s.leases, s.acks,
		s.duplicates, s.unknown, s.faults)
}

// stdout prints a line that the reliability command collects.
func stdout(format string, args ...any) { fmt.Fprintf(os.Stdout, "reliability: "+format+"\n", args...) }
