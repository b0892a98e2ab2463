package door

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/glassq/glassq"
)

// A receipt is what became of one body.
type receipt struct {
	body []byte
	done func()
	err  error
}

// A peer is the other end of a body that is being received.
type peer struct {
	net.Conn
	got chan receipt
}

// receive has in receive a body, and returns who sends it.
func receive(ctx context.Context, t *testing.T, in *Intake, size, most int) *peer {
	t.Helper()
	ours, theirs := net.Pipe()
	t.Cleanup(func() { ours.Close(); theirs.Close() })
	p := &peer{ours, make(chan receipt, 1)}
	go func() {
		body, done, err := in.Receive(ctx, theirs, nil, size, most)
		if err != nil {
			theirs.Close()
		}
		p.got <- receipt{body, done, err}
	}()
	synctest.Wait()
	return p
}

// send sends n bytes in the background.
func (p *peer) send(n int) {
	go p.Write(make([]byte, n)) // ends with the connection
	synctest.Wait()
}

// ended returns what became of the body, if anything did yet.
func (p *peer) ended() *receipt {
	synctest.Wait()
	select {
	case r := <-p.got:
		p.got <- r
		return &r
	default:
		return nil
	}
}

func (p *peer) want(t *testing.T, what string, size int, err error) {
	t.Helper()
	r := p.ended()
	switch {
	case r == nil:
		t.Fatalf("%s has not ended", what)
	case r.err != err && !errors.Is(r.err, err) || r.err == nil && len(r.body) != size:
		t.Fatalf("%s = %d bytes, %v; want %d, %v", what, len(r.body), r.err, size, err)
	case r.err == nil:
		r.done()
		r.done()
	}
}

// smallIntake has room for 8 small bodies, and 4 MiB for large ones, of which one has at most 1
// MiB.
func smallIntake() *Intake {
	in := new(Intake)
	in.small.size, in.small.common = 8*smallBody, 7*smallBody
	in.large.size, in.large.common = 4<<20, 3<<20
	return in
}

// empty wants that nothing is taken.
func empty(t *testing.T, in *Intake) {
	t.Helper()
	if n := in.Taken(); n != 0 || in.small.shares.Len()+in.large.shares.Len()+in.small.waiting+in.large.waiting != 0 {
		t.Errorf("%d bytes are taken in the end, %d and %d shares, %d and %d wait", n,
			in.small.shares.Len(), in.large.shares.Len(), in.small.waiting, in.large.waiting)
	}
}

// What is announced takes nothing, and neither do the first 4 KiB.
func TestAnnouncedBodies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := NewIntake(bodiesInFlight)
		for range 100 {
			receive(t.Context(), t, in, largest, largest)
			receive(t.Context(), t, in, -1, largest).send(inConn - 1)
		}
		if n := in.Taken(); n != 0 {
			t.Errorf("%d bytes are taken by who announced bodies", n)
		}
		p := receive(t.Context(), t, in, 1<<20, 1<<20)
		p.send(1 << 20)
		if n := in.Taken(); n != 1<<20 {
			t.Errorf("%d bytes are taken by a body of 1 MiB", n)
		}
		p.want(t, "a body", 1<<20, nil)
		empty(t, in)
	})
}

func TestReceive(t *testing.T) {
	for _, tt := range []struct {
		name             string
		size, most, sent int
		hangup           bool
		got              int
		err              error
	}{
		{"nothing", 0, 10, 0, false, 0, nil},
		{"one byte", 1, 10, 1, false, 1, nil},
		{"all in the connection", inConn, 1 << 20, inConn, false, inConn, nil},
		{"small", inConn + 1, 1 << 20, inConn + 1, false, inConn + 1, nil},
		{"as large as small is", smallBody, 1 << 20, smallBody, false, smallBody, nil},
		{"large", smallBody + 1, 1 << 20, smallBody + 1, false, smallBody + 1, nil},
		{"the largest", 1 << 20, 1 << 20, 1 << 20, false, 1 << 20, nil},
		{"broken off", 1 << 20, 1 << 20, 1<<20 - 1, true, 0, io.ErrUnexpectedEOF},
		{"broken off at once", 1, 1, 0, true, 0, io.ErrUnexpectedEOF},
		{"of no length", -1, 1 << 20, 0, true, 0, nil},
		{"of no length, small", -1, 1 << 20, smallBody, true, smallBody, nil},
		{"of no length, large", -1, 1 << 20, smallBody + 1, true, smallBody + 1, nil},
		{"of no length, the largest", -1, 1 << 18, 1 << 18, true, 1 << 18, nil},
		{"of no length, too large", -1, 1 << 18, 1<<18 + 1, false, 0, glassq.Errorf(glassq.CodeTooLarge, "")},
		{"more than there is", 5 << 20, 5 << 20, 4 << 20, false, 0, glassq.Errorf(glassq.CodeTooLarge, "")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				in := smallIntake()
				p := receive(t.Context(), t, in, tt.size, tt.most)
				p.send(tt.sent)
				if tt.hangup {
					p.Close()
				}
				p.want(t, "it", tt.got, tt.err)
				empty(t, in)
			})
		})
	}
}

// A sender has to bring 10 KiB in every 10 s.
func TestPace(t *testing.T) {
	for _, tt := range []struct {
		name        string
		size        int
		first, then int // sent at once; after half a second, and then in every second
		lasts       time.Duration
		err         error
	}{
		{"nothing", 1, 0, 0, paceFor, ErrSlow},
		{"a byte a second", 1 << 20, 1, 1, paceFor, ErrSlow},
		{"under 1 KiB/s", 1 << 20, 0, 1000, paceFor, ErrSlow},
		{"over 1 KiB/s", 100 << 10, 0, 1200, 85500 * time.Millisecond, nil},
		{"all but one byte, then nothing", 1 << 20, 1<<20 - 1, 0, paceFor, ErrSlow},
		{"in one go", 1 << 20, 1 << 20, 0, 0, nil},
	} {
		for _, what := range []string{"receive", "discard"} {
			t.Run(tt.name+", "+what, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					in := smallIntake()
					ours, theirs := net.Pipe()
					var wg sync.WaitGroup
					defer wg.Wait()
					defer theirs.Close()
					wg.Go(func() {
						_, err := ours.Write(make([]byte, tt.first))
						time.Sleep(time.Second / 2)
						for ; err == nil; time.Sleep(time.Second) {
							_, err = ours.Write(make([]byte, tt.then))
						}
					})
					began := time.Now()
					var err error
					if what == "discard" {
						err = Discard(theirs, int64(tt.size))
					} else {
						var done func()
						if _, done, err = in.Receive(t.Context(), theirs, nil, tt.size, tt.size); err == nil {
							done()
						}
					}
					if took := time.Since(began); err != tt.err || took != tt.lasts {
						t.Errorf("%v after %v; want %v after %v", err, took, tt.err, tt.lasts)
					}
					empty(t, in)
				})
			})
		}
	}
}

// Half-received bodies do not lock each other out, and a small one waits for none of the large.
func TestOldestIsServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := smallIntake()
		var all []*peer
		for range 20 {
			p := receive(t.Context(), t, in, 1<<20, 1<<20)
			p.send(1<<20 - 1)
			all = append(all, p)
		}
		if in.large.waiting == 0 {
			t.Fatal("nobody waits")
		}
		small := receive(t.Context(), t, in, smallBody, smallBody)
		small.send(smallBody)
		small.want(t, "a small body", smallBody, nil)
		for i, p := range all { // in the order of their age, though all have the same
			p.send(1)
			p.want(t, "the oldest", 1<<20, nil)
			if n := in.Taken(); n > in.large.size {
				t.Fatalf("after %d: %d bytes are taken of %d", i, n, in.large.size)
			}
		}
		empty(t, in)
	})
}

// A large want does not keep out the smaller ones behind it.
func TestLargeWantStopsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := smallIntake()
		p := in.large.size - 1<<20 - 600<<10 // taken by others, so that 600 KiB are left for all
		in.large.taken = p
		oldest := receive(t.Context(), t, in, 1<<20, 1<<20)
		oldest.send(smallBody)
		large := receive(t.Context(), t, in, 1<<20, 1<<20)
		large.send(256 << 10) // it wants 1 MiB then
		behind := receive(t.Context(), t, in, smallBody+1, 1<<20)
		if in.large.waiting == 0 {
			t.Fatal("nobody waits")
		}
		behind.send(smallBody + 1)
		behind.want(t, "the one behind", smallBody+1, nil)
	})
}

// Where others wait for room, those give way who are slow; otherwise they have their time.
func TestSlowOnesGiveWay(t *testing.T) {
	trickle := func(p *peer, first int) { // 2 KiB/s after that
		for n := first; ; n = 1 << 10 {
			if _, err := p.Write(make([]byte, n)); err != nil {
				return
			}
			time.Sleep(time.Second / 2)
		}
	}
	for _, tt := range []struct {
		name       string
		size, sent int
		newcomer   int
	}{
		{"small", smallBody, smallBody - 20<<10, smallBody},
		{"large", 1 << 20, 1<<20 - 200<<10, 1 << 20},
		{"of no length, that turn out to be large", -1, smallBody - 20<<10, smallBody},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				in := smallIntake()
				var slow []*peer
				for range 3 {
					p := receive(t.Context(), t, in, tt.size, 1<<20)
					go trickle(p, tt.sent) // ends with the connection
					synctest.Wait()
					slow = append(slow, p)
				}
				time.Sleep(5 * time.Second)
				for i, p := range slow {
					if r := p.ended(); r != nil {
						t.Fatalf("slow one %d, while nobody waits: %v", i, r.err)
					}
				}
				for range 9 {
					p := receive(t.Context(), t, in, tt.size, 1<<20)
					go trickle(p, tt.sent) // ends with the connection
					synctest.Wait()
					slow = append(slow, p)
				}
				began := time.Now()
				p := receive(t.Context(), t, in, tt.newcomer, 1<<20)
				p.send(tt.newcomer)
				r := <-p.got
				if r.err != nil || time.Since(began) > time.Duration(len(slow))*moment { // those before it give way one after the other
					t.Errorf("one that is not slow = %v after %v", r.err, time.Since(began))
				}
				p.got <- r
				p.want(t, "one that is not slow", tt.newcomer, nil)
				gave := 0
				for _, p := range slow {
					if r := p.ended(); r != nil && r.err == ErrBusy {
						gave++
					}
				}
				if gave == 0 {
					t.Errorf("no slow one gave way")
				}
				for _, p := range slow {
					p.Close()
					if r := <-p.got; r.done != nil {
						r.done()
					}
				}
				time.Sleep(time.Second) // nobody trickles any more
				empty(t, in)
			})
		})
	}
}

// One that waits for room and gives up leaves nothing behind.
func TestGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := smallIntake()
		in.large.taken = in.large.common
		oldest := receive(t.Context(), t, in, 1<<20, 1<<20)
		oldest.send(1<<20 - 1)
		ctx, cancel := context.WithCancel(t.Context())
		p := receive(ctx, t, in, 1<<20, 1<<20)
		p.send(1 << 19)
		if in.large.waiting != 1 {
			t.Fatalf("%d wait, want 1", in.large.waiting)
		}
		cancel()
		p.want(t, "one that gave up", 0, context.Canceled)
		oldest.send(1)
		oldest.want(t, "the oldest", 1<<20, nil)
		in.large.taken -= in.large.common
		empty(t, in)
	})
}

// Whatever comes, in whatever pieces: everything ends, and never is more taken than there is.
func TestManyBodies(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	synctest.Test(t, func(t *testing.T) {
		in := smallIntake()
		var wg sync.WaitGroup
		for k := range 200 {
			random := rand.New(rand.NewPCG(seed, uint64(k)))
			ours, theirs := net.Pipe()
			size, known := 1+random.IntN(1<<[]int{10, 16, 18, 20}[k%4]), random.IntN(3) > 0
			held := time.Duration(random.IntN(100)) * time.Millisecond
			wg.Go(func() {
				defer ours.Close()
				for left := size; left > 0; {
					n := min(left, 1+random.IntN(100<<10))
					if _, err := ours.Write(make([]byte, n)); err != nil {
						return
					}
					left -= n
					time.Sleep(time.Duration(random.IntN(1500)) * time.Millisecond)
				}
			})
			wg.Go(func() {
				defer theirs.Close()
				announced := size
				if !known {
					announced = -1
				}
				body, done, err := in.Receive(t.Context(), theirs, nil, announced, 1<<20)
				if n := in.Taken(); n > in.small.size+in.large.size {
					t.Errorf("%d bytes are taken", n)
				}
				switch {
				case err == nil && len(body) == size:
					time.Sleep(held)
					done()
				case err != ErrBusy:
					t.Errorf("a body of %d = %d bytes, %v", size, len(body), err)
				}
			})
		}
		wg.Wait()
		empty(t, in)
	})
}

// Somebody else's deadline ends reading at once: it is no pace.
func TestReadsEnded(t *testing.T) {
	ours, theirs := net.Pipe()
	defer ours.Close()
	defer theirs.Close()
	in := smallIntake()
	_, _, err := in.Receive(t.Context(), drained{theirs}, nil, 10, 10)
	if err == nil || err == ErrSlow || !strings.Contains(err.Error(), "timeout") {
		t.Errorf("a body whose door drains = %v", err)
	}
}

// drained lets no deadline be later.
type drained struct{ net.Conn }

func (d drained) SetReadDeadline(time.Time) error { return d.Conn.SetReadDeadline(LongAgo) }
