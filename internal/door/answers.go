package door

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"sync"
	"time"
)

const (
	inAnswer = 4 << 10  // bytes of each answer that count as part of its connection, and are not taken
	brisk    = 64 << 10 // bytes that a reader takes in a moment to be waited for; less is slow while others wait
	piece    = 64 << 10 // bytes of one write

	// StallTimeout is how long 64 KiB of an answer may take to leave, and the longest silence
	// within a command.
	StallTimeout = 60 * time.Second
)

// Answers bound the bytes of bodies that all doors of a server hold in answers that are on their
// way to those who read them. Room is taken before bodies are read from the store. An answer waits
// only while it has none, in order of arrival; small ones have an eighth of the room for
// themselves. Where one has waited for a second, the readers that took less than 64 KiB in that
// time are cut, the slowest first, until there is room. Safe for concurrent use.
type Answers struct {
	small, large *Budget
	log          *slog.Logger

	mu     sync.Mutex
	all    map[*Answer]struct{} // under way, with room; guarded by mu
	looked time.Time            // when slow readers were last looked for; guarded by mu
	slow   Line
}

// NewAnswers makes room for size bytes.
func NewAnswers(size int64, log *slog.Logger) *Answers {
	return &Answers{small: NewBudget(size / 8), large: NewBudget(size - size/8), log: log, all: map[*Answer]struct{}{}}
}

// leastAnswers is the least size that has room for a body of maxBody bytes, twice: Python is sent a
// copy.
func leastAnswers(maxBody int64) int64 { return (2*maxBody + 1<<20) / 7 * 8 }

// Taken is how many bytes are taken now.
func (s *Answers) Taken() int64 {
	return s.small.size - s.small.Free() + s.large.size - s.large.Free()
}

// An Answer is on its way to one client. It is a room.Taker. Its methods are for one goroutine at a
// time, but for what cuts it.
type Answer struct {
	of     *Answers
	from   *Budget // that of its room; nil while all of it is part of its connection
	has    int64   // bytes taken from it
	used   int64   // bytes that Try has given
	times  int64   // how often each byte of a body is held
	client any     // its address
	cut    func()  // ends the connection; nil for an answer that nobody waits for

	since time.Time // when the last 64 KiB began to leave, zero before anything is sent; guarded by of.mu
	fresh int       // bytes since
	over  bool      // it was cut; guarded by of.mu
}

// Begin is an answer to client without any room yet, whose bodies are held as often as times says.
// cut ends its connection, and must not block; nil cuts nothing. The caller must call Done when the
// answer was sent.
func (s *Answers) Begin(client any, times int, cut func()) *Answer {
	return &Answer{of: s, times: int64(times), client: client, cut: cut}
}

// Try takes room for n bytes more of bodies, if it need not wait for that.
func (a *Answer) Try(n int64) bool {
	want := a.used + n*a.times
	if a.used == 0 {
		want = min(want, a.of.large.size) // one that was stored under a higher limit has all there is
	}
	if want > max(a.has, inAnswer) && !a.grow(want) {
		return false
	}
	a.used = want
	return true
}

// grow has the answer have want bytes or more.
func (a *Answer) grow(want int64) bool {
	to := a.of.budget(want)
	if ahead := max(want, min(2*a.has, brisk)); to == a.of.small && to.size >= ahead { // so that many small ones ask seldom
		want = ahead
	}
	if more := want - a.has; to == a.from {
		if !to.TryTake(more) {
			return false
		}
	} else {
		if !to.TryTake(want) {
			return false
		}
		a.giveBack()
	}
	a.got(to, want)
	return true
}

func (s *Answers) budget(n int64) *Budget {
	if n <= smallBody {
		return s.small
	}
	return s.large
}

func (a *Answer) got(from *Budget, n int64) {
	a.from, a.has = from, n
	a.of.mu.Lock()
	defer a.of.mu.Unlock()
	a.of.all[a] = struct{}{}
}

func (a *Answer) giveBack() {
	if a.from == nil {
		return
	}
	a.of.mu.Lock()
	delete(a.of.all, a)
	a.since = time.Time{}
	a.of.mu.Unlock()
	a.from.Give(a.has)
	a.from, a.has = nil, 0
}

// Take gives back the room that it has, of which nothing may be used, and waits for n bytes, or for
// ctx.
func (a *Answer) Take(ctx context.Context, n int64) error {
	a.giveBack()
	n = min(n*a.times, a.of.large.size)
	from := a.of.budget(n)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	taken := make(chan error, 1)
	go func() { taken <- from.Take(ctx, n) }() // waited for below
	tick := time.NewTicker(moment)
	defer tick.Stop()
	for {
		select {
		case err := <-taken:
			if err == nil {
				a.got(from, n)
			}
			return err
		case <-tick.C:
			a.of.hurry(from)
		}
	}
}

// Split moves n bytes of bodies to an answer of its own, to another client.
func (a *Answer) Split(n int64, client any, cut func()) *Answer {
	b := a.of.Begin(client, int(a.times), cut)
	b.used = min(n*a.times, a.used)
	a.used -= b.used
	if a.from != nil {
		n := min(b.used, a.has)
		a.has -= n
		b.got(a.from, n)
	}
	return b
}

// Sends notes that the client is waited for from now on; without room nobody waits for it.
func (a *Answer) Sends() {
	if a.from == nil {
		return
	}
	a.of.mu.Lock()
	defer a.of.mu.Unlock()
	a.since = time.Now()
}

// Went notes that n bytes more have left.
func (a *Answer) Went(n int) {
	if a.fresh += n; a.fresh < brisk {
		return
	}
	a.fresh = 0
	a.Sends()
}

// A Receiver is the connection that an answer goes to. SetWriteDeadline is as that of net.Conn; one
// without deadlines returns an error from it, and is waited for as long as it takes.
type Receiver interface {
	io.Writer
	SetWriteDeadline(t time.Time) error
}

// Send writes b, of which 64 KiB have to leave within StallTimeout. The write deadline is anything
// afterwards. a may be nil, for what holds no bodies.
func (a *Answer) Send(to Receiver, b []byte) error {
	if a != nil {
		a.Sends()
	}
	for len(b) > 0 {
		to.SetWriteDeadline(time.Now().Add(StallTimeout))
		if a != nil && a.Cut() { // looked at after the deadline was set, which cutting may set too
			return errCut
		}
		n, err := to.Write(b[:min(len(b), piece)])
		if a != nil {
			a.Went(n)
		}
		if err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// errCut ends an answer whose reader was cut.
var errCut = errors.New("the client read too slowly while others waited for room")

// Cut tells whether the reader was cut.
func (a *Answer) Cut() bool {
	a.of.mu.Lock()
	defer a.of.mu.Unlock()
	return a.over
}

// Done gives back the room. A second one does nothing; and it may begin anew.
func (a *Answer) Done() {
	a.giveBack()
	a.used, a.fresh = 0, 0
}

// hurry cuts the slowest readers of a budget, while others wait for it.
func (s *Answers) hurry(from *Budget) {
	wanted := from.Wanted()
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if wanted == 0 || now.Sub(s.looked) < moment/2 {
		return
	}
	s.looked = now
	var slow []*Answer
	for a := range s.all {
		// Since it is sent, its room does not change.
		if !a.since.IsZero() && now.Sub(a.since) >= moment && a.from == from && a.cut != nil && !a.over {
			slow = append(slow, a)
		}
	}
	slices.SortFunc(slow, func(a, b *Answer) int { return a.since.Compare(b.since) })
	for _, a := range slow {
		if wanted <= 0 {
			break
		}
		wanted -= a.has
		a.over = true
		a.cut()
		s.slow.Warn(s.log, "a client was cut that read its answer too slowly while others waited for room", "client", a.client,
			"bytes", a.has)
	}
}
