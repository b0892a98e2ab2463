package memcache

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/glassq/glassq"
)

// TestTranscriptsTCP plays those transcripts over TCP that need neither fake time nor a second
// client.
func TestTranscriptsTCP(t *testing.T) {
	played := 0
	for _, tr := range readTranscripts(t) {
		if slices.ContainsFunc(tr.steps, func(s step) bool {
			return s.what == "sleep" || s.what == "hangup" ||
				s.client > 1
		}) {
			continue
		}
		played++
		t.Run(tr.name, func(t *testing.T) {
			r := openPort(t, tr.opt)
			nc := r.dial()
			nc.SetDeadline(time.Now().Add(time.Minute)) // it hangs
			for _, s := range tr.steps {
				switch s.what {
				case "C":
					if _, err := nc.Write(s.data); err != nil {
						t.Fatalf("%s.txt:%d: %v", tr.name, s.line, err)
					}
				case "S":
					got := make([]byte, len(s.data))
					if n, err := io.ReadFull(nc, got); !bytes.Equal(got[:n], s.data) {
						t.Fatalf("%s.txt:%d: got %q, %v; want %q", tr.name, s.line, got[:n], err, s.data)
					}
				case "closed":
					if got, err := io.ReadAll(nc); len(got) > 0 {
						t.Fatalf("%s.txt:%d: got %q, %v; want the connection closed", tr.name, s.line, got, err)
					}
				case "full":
					if _, err := r.store.Configure(t.Context(), s.word, glassq.SettingsChange{MaxTasks: &s.n}); err != nil {
						t.Fatal(err)
					}
				}
			}
		})
	}
	if played == 0 {
		t.Fatal("no transcript was played")
	}
}

// A speaker sends commands of all shapes and keeps count of what it was told.
type speaker struct {
	nc   net.Conn
	in   *bufio.Reader
	rng  *rand.Rand
	name string
	next int

	put, got []string // bodies
}

func (s *speaker) ask(format string, args ...any) (string, error) {
	if _, err := fmt.Fprintf(s.nc, format, args...); err != nil {
		return "", err
	}
	return s.line()
}

func (s *speaker) line() (string, error) {
	line, err := s.in.ReadString('\n')
	return strings.TrimSuffix(line, "\r\n"), err
}

// value reads the rest of an answer that began with line, and returns the body and the lease
// number.
func (s *speaker) value(line string) (body, lease string, err error) {
	f := strings.Fields(line)
	if len(f) < 4 || f[0] != "VALUE" {
		return "", "", fmt.Errorf("answered %q", line)
	}
	if body, err = s.line(); err != nil {
		return "", "", err
	}
	if end, err := s.line(); err != nil || end != "END" {
		return "", "", fmt.Errorf("ended with %q, %v", end, err)
	}
	return body, f[len(f)-1], nil
}

func (s *speaker) body() string {
	s.next++
	b := fmt.Sprintf("%s-%d", s.name, s.next)
	if s.rng.IntN(20) == 0 {
		b += strings.Repeat("x", s.rng.IntN(40<<10)) // beyond every small buffer
	}
	return b
}

func (s *speaker) speak(queue string, n int) error {
	want := func(line string, err error, want string) error {
		if err != nil || line != want {
			return fmt.Errorf("answered %.100q, %v; want %s", line, err, want)
		}
		return nil
	}
	for range n {
		var err error
		switch b := s.body(); s.rng.IntN(8) {
		case 0, 1, 2:
			var line string
			line, err = s.ask("set %s 0 0 %d\r\n%s\r\n", queue, len(b), b)
			err = want(line, err, stored[:6])
			s.put = append(s.put, b)
		case 3: // a burst
			var text strings.Builder
			k := 2 + s.rng.IntN(20)
			for i := range k {
				if i > 0 {
					b = s.body()
				}
				s.put = append(s.put, b)
				fmt.Fprintf(&text, "set %s 0 0 %d\r\n%s\r\n", queue, len(b), b)
			}
			io.WriteString(s.nc, text.String())
			for range k {
				line, lerr := s.line()
				if lerr = want(line, lerr, stored[:6]); lerr != nil {
					err = lerr
				}
			}
		case 4, 5:
			wait := []string{"", "/t=1"}[s.rng.IntN(2)]
			var line string
			if line, err = s.ask("get %s%s\r\n", queue, wait); line != "END" && err == nil {
				b, _, err = s.value(line)
				s.got = append(s.got, b)
			}
		case 6:
			var line, lease string
			if line, err = s.ask("gets %s/open\r\n", queue); line != "END" && err == nil {
				if b, lease, err = s.value(line); err != nil {
					break
				}
				if s.rng.IntN(3) == 0 { // with a result
					line, err = s.ask("cas out 0 0 %d %s\r\n%s\r\n", len(b), lease, b)
					err = want(line, err, stored[:6])
				} else {
					line, err = s.ask("delete %s/%s\r\n", queue, lease)
					err = want(line, err, deleted[:7])
				}
				s.got = append(s.got, b)
			}
		case 7: // what is refused among the others must not touch them
			var line string
			line, err = s.ask("set %s/type=none 0 0 1\r\nx\r\n", queue)
			if !strings.HasPrefix(line, "CLIENT_ERROR") && err == nil {
				err = fmt.Errorf("answered %q", line)
			}
			if err == nil {
				line, err = s.ask("set %s/run=.. 0 0 1\r\nx\r\n", queue)
				if !strings.HasPrefix(line, "CLIENT_ERROR") && err == nil {
					err = fmt.Errorf("answered %q", line)
				}
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// TestLoopConservation has many clients send single commands, bursts, long bodies, waits and
// mistakes, so that connections go to and fro between loops and goroutines, and, where answers wait
// for a sync, from loop to loop: each task put is got once, by somebody.
func TestLoopConservation(t *testing.T) {
	t.Run("memory", func(t *testing.T) { conserves(t, "mem:") })
	t.Run("sync always", func(t *testing.T) { conserves(t, t.TempDir()) })
}

func conserves(t *testing.T, dir string) {
	r := openPortOn(t, dir, setup{}, 0)
	speakers := make([]*speaker, 24)
	errs := make([]error, len(speakers))
	var wg sync.WaitGroup
	for i := range speakers {
		nc := r.dial()
		nc.SetDeadline(time.Now().Add(time.Minute)) // it hangs
		s := &speaker{nc: nc, in: bufio.NewReader(nc), rng: rand.New(rand.NewPCG(7, uint64(i))),
			name: fmt.Sprint("client", i)}
		speakers[i] = s
		wg.Go(func() { errs[i] = s.speak([]string{"one", "two"}[i%2], 300) })
	}
	wg.Wait()
	balance := map[string]int{}
	for i, s := range speakers {
		if errs[i] != nil {
			t.Fatalf("client %d: %v", i, errs[i])
		}
		for _, b := range s.put {
			balance[b]++
		}
		for _, b := range s.got {
			balance[b]--
		}
	}
	for _, queue := range []string{"one", "two"} {
		for {
			leases, err := r.store.Reserve(t.Context(), glassq.Reserve{Queue: queue, Max: 1000, Take: true})
			if err != nil {
				t.Fatal(err)
			}
			if len(leases) == 0 {
				break
			}
			for _, l := range leases {
				balance[string(l.Body)]--
			}
		}
	}
	for body, n := range balance {
		if n != 0 {
			t.Errorf("task %.40q was put %+d times more than got", body, n)
		}
	}
}

// TestLoopGoesBack follows one connection: into a goroutine with a burst, and back with single
// commands.
func TestLoopGoesBack(t *testing.T) {
	if loops() == 0 {
		t.Skip("left out: this system has no loops")
	}
	r := openPort(t, setup{})
	nc := r.dial()
	nc.SetDeadline(time.Now().Add(time.Minute)) // it hangs
	in := bufio.NewReader(nc)
	ask := func(text string, lines int) {
		t.Helper()
		io.WriteString(nc, text)
		for range lines {
			if line, err := in.ReadString('\n'); err != nil || line != stored {
				t.Fatalf("answered %q, %v", line, err)
			}
		}
	}
	inLoop := func() (n int) {
		for _, l := range r.server.loops {
			l.mu.Lock()
			n += len(l.conns)
			l.mu.Unlock()
		}
		return n
	}
	const one = "set q 0 0 1\r\nx\r\n"
	ask(one, 1)
	if n := inLoop(); n != 1 {
		t.Fatalf("%d connections in loops after a single command, want 1", n)
	}
	ask(one+one, 2)
	if n := inLoop(); n != 0 {
		t.Fatalf("%d connections in loops after a burst, want 0", n)
	}
	for range 100 { // the answer comes before the way back, so the moment is not known
		ask(one, 1)
		if inLoop() == 1 {
			return
		}
	}
	t.Fatal("100 single commands did not bring the connection back to its loop")
}

// TestLoopGathers: of a store whose answers wait for a sync, one loop has the connections that put
// and ack, and those that only get are where they were given at first.
func TestLoopGathers(t *testing.T) {
	if loops() < 2 {
		t.Skip("left out: this system has no loops, or one processor")
	}
	r := openPortOn(t, t.TempDir(), setup{}, 0)
	const one = "set q 0 0 1\r\nx\r\n"
	ask := func(nc net.Conn, in *bufio.Reader, text, want string) {
		t.Helper()
		io.WriteString(nc, text)
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			if line == want {
				return
			}
		}
	}
	in := func() (list []int) {
		for _, l := range r.server.loops {
			l.mu.Lock()
			list = append(list, len(l.conns))
			l.mu.Unlock()
		}
		return list
	}
	var ncs []net.Conn
	var ins []*bufio.Reader
	n := mostTogether + 10
	for range n {
		nc := r.dial()
		nc.SetDeadline(time.Now().Add(time.Minute)) // it hangs
		ncs, ins = append(ncs, nc), append(ins, bufio.NewReader(nc))
		ask(nc, ins[len(ins)-1], one, stored)
	}
	// An answer comes before its connection moves. The next command's answer comes after that.
	each := func(text, want string) {
		for i := range ncs {
			ask(ncs[i], ins[i], text, want)
		}
	}
	each(one, stored)
	if got := in(); got[0] != mostTogether || got[1] != n-mostTogether {
		t.Errorf("%v connections in the loops after puts, want %d and %d", got, mostTogether, n-mostTogether)
	}
	for range homeAfter + 1 {
		each("get none\r\n", "END\r\n")
	}
	got := in()
	for i, l := range r.server.loops {
		if want := n / len(r.server.loops); got[i] < want || got[i] > want+1 || l.gathered.Load() != 0 {
			t.Errorf("%v connections in the loops after gets, %d of them gathered by loop %d", got, l.gathered.Load(), i)
		}
	}
	each(one, stored) // the end of the test sees that none stays gathered
}
