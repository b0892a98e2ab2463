package door

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/rights"
)

// A gate is a listener whose clients the test sends in; an error is what Accept returns instead.
type gate struct {
	in   chan any // net.Conn or error
	once sync.Once
	shut chan struct{}
}

func newGate() *gate { return &gate{in: make(chan any), shut: make(chan struct{})} }

func (g *gate) Accept() (net.Conn, error) {
	select {
	case v := <-g.in:
		if err, ok := v.(error); ok {
			return nil, err
		}
		return v.(net.Conn), nil
	case <-g.shut:
		return nil, net.ErrClosed
	}
}

func (g *gate) Close() error   { g.once.Do(func() { close(g.shut) }); return nil }
func (g *gate) Addr() net.Addr { return &net.UnixAddr{} }

// A farEnd is a connection from another machine.
type farEnd struct {
	net.Conn
	from string
}

func (f farEnd) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.ParseIP(f.from), Port: 1} }

// A rig is a hall that greets its clients with a byte and keeps them until they go.
type rig struct {
	t     *testing.T
	frame Frame
	hall  *Hall
	gate  *gate
	let   []*Conn
	stop  context.CancelFunc
	ended chan error
}

func inHall(t *testing.T, f Frame, test func(*rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := &rig{t: t, frame: f.Filled(), gate: newGate(), ended: make(chan error, 1)}
		r.hall = NewHall(&r.frame, nil, time.Minute)
		r.hall.Full = "full"
		ctx, stop := context.WithCancel(t.Context())
		r.stop = stop
		go func() {
			r.ended <- r.hall.Run(ctx, r.gate, func(_ context.Context, c *Conn) {
				r.let = append(r.let, c)
				r.hall.Go(func() {
					c.Write([]byte{'!'})
					io.Copy(io.Discard, c)
					c.Close()
				})
			}, func() {})
		}()
		test(r)
		stop()
		if err := <-r.ended; err != nil {
			t.Errorf("Run = %v", err)
		}
		if free, all := r.frame.Seats.Free(), r.frame.Seats.size; free != all {
			t.Errorf("%d of %d seats are free in the end", free, all)
		}
		if n := len(r.frame.Seats.from) + len(r.hall.conns) + len(r.frame.Strangers.all); n != 0 {
			t.Errorf("%d connections and strangers are left", n)
		}
	})
}

// knock connects from an address and reports whether the client is greeted, refused or neither.
func (r *rig) knock(from string) (nc net.Conn, told string) {
	r.t.Helper()
	ours, theirs := net.Pipe()
	go func() {
		select {
		case r.gate.in <- farEnd{theirs, from}:
		case <-r.gate.shut:
		}
	}()
	ours.SetReadDeadline(time.Now().Add(time.Millisecond))
	switch _, err := ours.Read(make([]byte, 1)); {
	case err == nil:
		told = "greeted"
	case errors.Is(err, os.ErrDeadlineExceeded):
		told = "waits"
	default:
		told = "refused"
	}
	ours.SetReadDeadline(time.Time{})
	return ours, told
}

func (r *rig) want(from, told string) net.Conn {
	r.t.Helper()
	nc, got := r.knock(from)
	if got != told {
		r.t.Fatalf("a client from %s is %s; want %s", from, got, told)
	}
	return nc
}

// gone tells how many of the connections were closed by the door; those must be the oldest.
func (r *rig) gone(all []net.Conn, want int) {
	r.t.Helper()
	synctest.Wait()
	for i, nc := range all {
		nc.SetReadDeadline(time.Now())
		_, err := nc.Read(make([]byte, 1))
		if cut := !errors.Is(err, os.ErrDeadlineExceeded); cut != (i < want) {
			r.t.Fatalf("number %d of %d is cut: %v; want the oldest %d cut", i, len(all), cut, want)
		}
	}
}

// TestStrangers: silence keeps nobody out. The oldest of those who are too many is cut: of the same
// machine where that has a bound of its own, and else of the one that has sent most. A client that
// has shown the key is not among them.
func TestStrangers(t *testing.T) {
	const here, far, farther = "127.0.0.1", "192.0.2.1", "192.0.2.2"
	var log bytes.Buffer
	frame := Frame{Access: NewAccess([]byte("k")), Log: slog.New(slog.NewTextHandler(&log, nil))}
	inHall(t, frame, func(r *rig) {
		greeted := func(from string, n int) (all []net.Conn) {
			for range n {
				all = append(all, r.want(from, "greeted"))
			}
			return all
		}
		known := greeted(far, 1)
		r.hall.Recognize(r.let[0], Who{})
		fars := greeted(far, maxFromOne+1)
		r.gone(fars, 1)
		near := greeted(here, maxStrangers-maxFromOne+1)
		r.gone(near, 1)
		r.gone(fars, 1)
		other := greeted(farther, 1)
		r.gone(near, 2)
		r.gone(other, 0)
		r.gone(known, 0)
		r.hall.Recognize(r.let[1], Who{}) // too late: it was cut
		if n := len(r.frame.Strangers.all); n != maxStrangers {
			t.Errorf("%d strangers; want %d", n, maxStrangers)
		}
		for _, nc := range slices.Concat(known, fars, near, other) {
			nc.Close()
		}
		synctest.Wait()
	})
	if n := strings.Count(log.String(), "too many connections"); n != 1 {
		t.Errorf("%d lines; want one:\n%s", n, &log)
	}
	inHall(t, Frame{}, func(r *rig) { // nobody needs a key, nobody is a stranger
		for range maxStrangers + 1 {
			defer r.want(far, "greeted").Close()
		}
		r.stop()
	})
}

// TestSeats: a connection beyond the seats waits until another one ends.
func TestSeats(t *testing.T) {
	inHall(t, Frame{Seats: NewSeats(2, 0, slog.New(slog.DiscardHandler))}, func(r *rig) {
		first, second := r.want("127.0.0.1", "greeted"), r.want("127.0.0.1", "greeted")
		third := r.want("127.0.0.1", "waits")
		first.Close()
		if _, err := third.Read(make([]byte, 1)); err != nil {
			t.Errorf("the third client reads %v; want its greeting when the first one has left", err)
		}
		second.Close()
		third.Close()
	})
}

// TestSeatsOfOne: another machine has no more than its share, and is told so; this one may have
// all.
func TestSeatsOfOne(t *testing.T) {
	var log bytes.Buffer
	seats := NewSeats(10, 2, slog.New(slog.NewTextHandler(&log, nil)))
	inHall(t, Frame{Seats: seats}, func(r *rig) {
		var all []net.Conn
		for _, from := range []string{"192.0.2.1", "192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2", "127.0.0.1",
			"127.0.0.1", "127.0.0.1"} {
			all = append(all, r.want(from, "greeted"))
		}
		for _, from := range []string{"192.0.2.1", "2001:db8::3"} {
			nc, told := r.knock(from)
			rest, err := io.ReadAll(nc)
			if told != "greeted" || string(rest) != "ull" || err != nil {
				t.Errorf("one more of %s is %s, %q, %v; want full", from, told, rest, err)
			}
		}
		all[0].Close()
		synctest.Wait()
		all[0] = r.want("192.0.2.1", "greeted")
		for _, nc := range all {
			nc.Close()
		}
		synctest.Wait()
	})
	if n := strings.Count(log.String(), "a client was cut"); n != 1 {
		t.Errorf("%d lines; want one:\n%s", n, &log)
	}
}

// TestAcceptFails: what passes is waited for, and what does not ends the door.
func TestAcceptFails(t *testing.T) {
	inHall(t, Frame{}, func(r *rig) {
		for _, err := range []error{syscall.EMFILE, os.NewSyscallError("accept", syscall.ENFILE)} {
			began := time.Now()
			r.gate.in <- err
			r.want("127.0.0.1", "waits").Close()
			time.Sleep(time.Second)
			r.want("127.0.0.1", "greeted").Close()
			if took := time.Since(began); took > 3*time.Second {
				t.Errorf("after %v the door is back in %v", err, took)
			}
		}
		boom := errors.New("boom")
		r.gate.in <- boom
		if err := <-r.ended; !errors.Is(err, boom) {
			t.Errorf("Run = %v; want %v", err, boom)
		}
		r.ended <- nil
	})
}

// TestDrain: reads end at once, whatever deadline is set then, and what is left is cut.
func TestDrain(t *testing.T) {
	inHall(t, Frame{}, func(r *rig) {
		nc := r.want("127.0.0.1", "greeted")
		stuck := make(chan struct{})
		r.hall.Go(func() { // serves to the end
			defer close(stuck)
			r.let[0].SetReadDeadline(time.Time{})
			r.let[0].Write([]byte("nobody reads this"))
		})
		r.stop()
		synctest.Wait()
		if err := r.let[0].SetReadDeadline(time.Time{}); err == nil && !r.hall.Draining() {
			t.Error("the hall does not drain")
		}
		if _, err := r.let[0].Read(make([]byte, 1)); err == nil {
			t.Error("a read goes on while the hall drains")
		}
		<-stuck
		nc.Close()
	})
}

func TestMay(t *testing.T) {
	locked, open := NewAccess([]byte("old"), []byte("new")), NewAccess()
	key := func(k string) Who {
		who, _ := locked.WithKey([]byte(k))
		return who
	}
	here, far := &net.TCPAddr{IP: net.ParseIP("127.0.0.1")}, &net.TCPAddr{IP: net.ParseIP("192.0.2.1")}
	for _, tt := range []struct {
		name string
		who  Who
		may  rights.Scope
	}{
		{"a key", key("new"), rights.Any | rights.Admin},
		{"an older key", key("old"), rights.Any | rights.Admin},
		{"a wrong key", key("ne"), 0},
		{"no key", key(""), 0},
		{"a guest here", open.Guest(here, rights.Any), rights.Any | rights.Admin},
		{"a guest from afar", open.Guest(far, rights.Any), rights.Any},
		{"a guest at a socket", open.Guest(&net.UnixAddr{}, 0), rights.Any | rights.Admin},
	} {
		for verb := range rights.Rules {
			r := &rights.Rules[verb]
			err := tt.who.May(rights.Verb(verb), "q")
			if may := r.Needs == 0 || r.Needs&tt.may != 0; (err == nil) != may ||
				err != nil && glassq.CodeOf(err) != glassq.CodeForbidden {
				t.Errorf("%s: %s: %v; it may: %v", tt.name, r.Does, err, may)
			}
		}
	}
	if !locked.Locked() || open.Locked() || (*Access)(nil).Locked() {
		t.Error("an access with keys is locked, and no other")
	}
}

// An extender is a store that extends, with an answer for each lease.
type extender struct {
	glassq.Store
	answer func(glassq.Extend) error
	whole  error
}

func (e *extender) Extend(_ context.Context, all []glassq.Extend) ([]error, error) {
	errs := make([]error, len(all))
	for i, x := range all {
		errs[i] = e.answer(x)
	}
	return errs, e.whole
}

// TestKeeper: leases are extended at a third of their length until they are dropped, or lost.
func TestKeeper(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		extended := map[uint64]int{}
		e := &extender{answer: func(x glassq.Extend) error {
			extended[x.Token.Number]++
			switch x.Token.Number {
			case 2:
				return glassq.ErrLeaseLost
			case 3:
				return glassq.Errorf(glassq.CodeUnavailable, "not now")
			}
			if x.Lease != 30*time.Second {
				t.Errorf("extended by %v", x.Lease)
			}
			return nil
		}}
		f := Frame{}.Filled()
		k := NewKeeper(e, 30*time.Second, f.Log)
		for n := range uint64(5) {
			k.Keep(glassq.Token{Queue: "q", Number: n})
		}
		k.Drop(glassq.Token{Queue: "q", Number: 4})
		k.Drop(glassq.Token{Queue: "q", Number: 99})
		ctx, stop := context.WithTimeout(t.Context(), 25*time.Second)
		defer stop()
		k.Run(ctx)
		for n, want := range []int{2, 2, 1, 2, 0} {
			if extended[uint64(n)] != want {
				t.Errorf("lease %d was extended %d times in 25 s; want %d", n, extended[uint64(n)], want)
			}
		}
	})
}
