package door

import (
	"container/list"
	"context"
	"io"
	"sync"
	"time"

	"github.com/glassq/glassq"
)

const (
	smallBody = 65 << 10 // bytes of the largest body of the reserve: 64 KiB, and what a door puts around it
	largest   = 48 << 20 // bytes of the largest body that any door takes
	inConn    = 4 << 10  // bytes of each body that count as part of its connection, and are not taken
	moment    = time.Second
)

// ErrBusy refuses a body that came in slowly while others waited for room: less than 64 KiB in a
// second.
var ErrBusy = &glassq.Error{Code: glassq.CodeUnavailable,
	Message: "many bodies wait for room, and this one came in too slowly; send it again later, in one go"}

// An Intake bounds the bytes of the bodies that all doors of a server hold while they are received
// and worked on. Bytes are taken as they arrive: what a peer announces takes nothing. What finds no
// room is not read, so that its sender waits.
//
// Bodies up to 64 KiB have an eighth of it for themselves, and wait only for each other. Among
// those that share room the oldest always gets what it needs, for which room is set aside, so that
// half-received bodies do not lock each other out. Where others have waited for a second, a body
// that did not bring 64 KiB in that time gives way: it is refused with ErrBusy. Safe for concurrent
// use.
type Intake struct {
	small, large pool
}

// leastIntake is the least size that has room for the largest body.
const leastIntake = (largest + 2<<20) / 7 * 8

// NewIntake makes room for size bytes.
func NewIntake(size int64) *Intake {
	in := new(Intake)
	in.small.size, in.large.size = size/8, size-size/8
	in.small.common = max(0, in.small.size-smallBody)
	in.large.common = max(0, in.large.size-largest)
	return in
}

// Taken is how many bytes are taken now.
func (in *Intake) Taken() (n int64) {
	for _, p := range []*pool{&in.small, &in.large} {
		p.mu.Lock()
		n += p.taken
		p.mu.Unlock()
	}
	return n
}

// Receive reads a body of size bytes, or with a size of -1 up to io.EOF and at most most bytes. It
// appends to buf[:0], which may be nil and belongs to the caller's connection: its capacity is not
// taken from the room. The caller must call done when it needs the body no more, even where it
// keeps the bytes; done may be called more than once.
//
// It blocks while the sender keeps its pace and while there is no room. On an error nothing is
// taken: ErrSlow, ErrBusy, code too_large for more than most or more than there is for all,
// io.ErrUnexpectedEOF, ctx's error, or that of the sender. The sender's read deadline is none
// afterwards; after an error it is anything.
func (in *Intake) Receive(ctx context.Context, from Sender, buf []byte, size, most int) (
	body []byte, done func(), err error) {
	a := &arrival{in: in, ctx: ctx, pace: pace{from: from}, size: size}
	want := size
	if size < 0 {
		want = most + 1
	}
	if cap(buf) < min(want, inConn) {
		buf = make([]byte, 0, min(want, inConn))
	}
	body, err = a.fill(buf[:0], want)
	if err == nil && size < 0 && len(body) > most {
		err = glassq.Errorf(glassq.CodeTooLarge, "a body over %d bytes", most)
	}
	if err != nil {
		a.release()
		return nil, nil, err
	}
	if a.share != nil {
		a.share.arrived()
	}
	from.SetReadDeadline(time.Time{})
	return body, a.release, nil
}

// An arrival is one body that is being received.
type arrival struct {
	in     *Intake
	ctx    context.Context // cancelled with ErrBusy to make the body give way
	cancel context.CancelCauseFunc
	pace   pace
	size   int
	share  *share // nil while all of it is part of its connection
	fresh  int    // bytes since the share was last told
}

func (a *arrival) fill(buf []byte, want int) ([]byte, error) {
	for len(buf) < want {
		if len(buf) == cap(buf) {
			to := 2 * cap(buf)
			if to < 1<<20 {
				to *= 2
			}
			to = min(to, want)
			if err := a.room(int64(to)); err != nil {
				return nil, err
			}
			buf = append(make([]byte, 0, to), buf...)
		}
		a.pace.begin()
		if a.ctx.Err() != nil { // looked at after the deadline was set, which cancelling sets too
			return nil, context.Cause(a.ctx)
		}
		n, err := a.pace.read(buf[len(buf):min(cap(buf), want)])
		buf = buf[:len(buf)+n]
		if a.fresh += n; a.fresh >= smallBody && a.share != nil {
			a.fresh = 0
			a.share.goOn()
		}
		switch {
		case err == nil || len(buf) == want:
		case context.Cause(a.ctx) == ErrBusy:
			return nil, ErrBusy
		case err == io.EOF && a.size < 0:
			return buf, nil
		case err == io.EOF:
			return nil, io.ErrUnexpectedEOF
		default:
			return nil, err
		}
	}
	return buf, nil
}

// room takes room for to bytes in all.
func (a *arrival) room(to int64) error {
	p := &a.in.large
	if a.size >= 0 && a.size <= smallBody || a.size < 0 && to <= smallBody {
		p = &a.in.small
	}
	if a.share != nil && a.share.p == p {
		return a.share.takeRoom(a.ctx, to, a.pace.pause)
	}
	if a.share == nil {
		a.ctx, a.cancel = context.WithCancelCause(a.ctx)
	}
	s := &share{p: p, giveWay: func() {
		a.cancel(ErrBusy)
		a.pace.from.SetReadDeadline(LongAgo)
	}}
	// A body that turns out to be large keeps its place among the small ones until it has one among
	// the large, and gives way there as if it were still received.
	if err := s.takeRoom(a.ctx, to, a.pace.pause); err != nil {
		s.release()
		return err
	}
	if a.share != nil {
		a.share.release()
	}
	a.share = s
	return nil
}

func (a *arrival) release() {
	if a.share != nil {
		a.share.release()
		a.cancel(nil)
	}
}

// A pool is room that bodies share.
type pool struct {
	size   int64 // bytes
	common int64 // of them for all; what is beyond is for the oldest, whatever its size

	mu      sync.Mutex
	taken   int64
	shares  list.List // of *share, oldest first
	waiting int       // shares
	hurried time.Time // when the slow ones were last made to give way
}

// A share is what one body has of a pool. Its fields are guarded by the pool's mu.
type share struct {
	p       *pool
	giveWay func() // ends the reading of its body; called with mu held

	at    *list.Element // nil before it asks for the first time, and after release
	n     int64         // bytes
	want  int64         // beyond n, while it waits
	ready chan struct{} // closed when want is granted
	since time.Time     // when the last 64 KiB began to arrive; zero when no sender is waited for
}

// takeRoom waits until the share is to bytes. pause is called if that takes time.
func (s *share) takeRoom(ctx context.Context, to int64, pause func()) error {
	p := s.p
	if to > p.size {
		return glassq.Errorf(glassq.CodeTooLarge, "%d bytes at once; there are %d for all", to, p.size)
	}
	p.mu.Lock()
	if s.at == nil {
		s.at = p.shares.PushBack(s)
	}
	s.want = to - s.n
	if p.fits(s) {
		p.grant(s)
		p.mu.Unlock()
		return nil
	}
	s.since = time.Time{}
	s.ready = make(chan struct{})
	p.waiting++
	p.mu.Unlock()
	pause()
	tick := time.NewTicker(moment)
	defer tick.Stop()
	for {
		select {
		case <-s.ready:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx) // the caller releases it
		case <-tick.C:
			p.hurry()
		}
	}
}

// goOn notes that another 64 KiB have arrived.
func (s *share) goOn() {
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	s.since = time.Now()
}

// arrived notes that the sender is waited for no more.
func (s *share) arrived() {
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	s.since = time.Time{}
}

// release gives all of it back. A second one does nothing.
func (s *share) release() {
	p := s.p
	p.mu.Lock()
	defer p.mu.Unlock()
	if s.at == nil {
		return
	}
	p.shares.Remove(s.at)
	s.at = nil
	p.taken -= s.n
	if s.ready != nil && s.want > 0 {
		p.waiting--
	}
	for e := p.shares.Front(); e != nil && p.waiting > 0; e = e.Next() {
		if w := e.Value.(*share); w.ready != nil && w.want > 0 && p.fits(w) {
			p.waiting--
			p.grant(w)
			close(w.ready)
		}
	}
}

// fits tells whether what a share wants can be granted; mu is held. The others have no more than
// common, and so the oldest can always have the rest. A large want does not stop the smaller ones
// behind it: it is granted when there happens to be room, or when all that are older have ended.
func (p *pool) fits(s *share) bool {
	return s.at == p.shares.Front() || p.taken+s.want <= p.common
}

// grant is called with mu held.
func (p *pool) grant(s *share) {
	p.taken += s.want
	s.n, s.want = s.n+s.want, 0
	if s.since.IsZero() {
		s.since = time.Now()
	}
}

// hurry makes those give way whose senders are slow, while others wait.
func (p *pool) hurry() {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if p.waiting == 0 || now.Sub(p.hurried) < moment/2 {
		return
	}
	p.hurried = now
	for e := p.shares.Front(); e != nil; e = e.Next() {
		if s := e.Value.(*share); !s.since.IsZero() && now.Sub(s.since) >= moment {
			s.since = time.Time{}
			s.giveWay()
		}
	}
}
