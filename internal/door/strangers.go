package door

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
)

const (
	maxStrangers = 256 // connections of a server that have not shown a key where one is needed
	maxFromOne   = 64  // of them from one address of another machine
	lineEvery    = time.Minute

	// WrongPause is how long a wrong key waits for its refusal, after the one before it.
	WrongPause = 250 * time.Millisecond

	// LongestTurn is the most that the turn of an address lies ahead.
	LongestTurn = 10 * time.Second
)

// Strangers are the connections of all doors of a server that have not shown the key, and what they
// have tried. Safe for concurrent use.
type Strangers struct {
	log *slog.Logger

	mu    sync.Mutex
	all   []*Conn              // oldest first; guarded by mu
	turns map[string]time.Time // by address: when the next wrong key from there is answered; guarded by mu
	wrong Line
	full  Line
}

// NewStrangers is the place of strangers of which log hears.
func NewStrangers(log *slog.Logger) *Strangers {
	return &Strangers{log: log, turns: map[string]time.Time{}}
}

// A Line is what is logged once a minute, with how often it happened since. The zero value is
// ready. Safe for concurrent use.
type Line struct {
	mu    sync.Mutex
	next  time.Time
	times int
}

// Warn logs it, unless it was logged within the last minute.
func (l *Line) Warn(log *slog.Logger, text string, args ...any) {
	l.mu.Lock()
	l.times++
	times, now := 0, time.Now()
	if !now.Before(l.next) {
		times, l.times, l.next = l.times, 0, now.Add(lineEvery)
	}
	l.mu.Unlock()
	if times > 0 {
		log.Warn(text, append(args, "times", times)...)
	}
}

// Strange tells whether the connection is still one of those that have to show the key: its client
// has not done so, and it was neither cut nor closed.
func (c *Conn) Strange() bool { return c.strange != nil && c.strange.Err() == nil }

// Recognize notes that a client has shown who it is. Its connection ends when its token does.
func (h *Hall) Recognize(c *Conn, who Who) {
	h.frame.Strangers.Recognize(c)
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, here := h.conns[c]; here && who.live != nil {
		c.stay = who.live.AfterDone(func() {
			h.frame.Log.Info("a client is cut: its token is over", "client", c.RemoteAddr(), "token", who.live.Name)
			c.Cut()
		})
	}
}

// Recognize notes that a client has shown the key, or has gone.
func (s *Strangers) Recognize(c *Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.recognize(c)
}

// recognize is called with mu held.
func (s *Strangers) recognize(c *Conn) {
	if at := slices.Index(s.all, c); at >= 0 {
		s.all = slices.Delete(s.all, at, at+1)
		c.familiar()
	}
}

// Enter takes a stranger in, for as long as life lasts. Where there are too many, the oldest of
// those is cut that have come from the same address, or else from the address that has sent most:
// silence keeps nobody else out. It is called before the connection has another owner.
func (s *Strangers) Enter(life context.Context, c *Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if old := s.oneTooMany(addressOf(c.RemoteAddr())); old != nil {
		s.recognize(old)
		old.Cut()
		s.full.Warn(s.log, "too many connections that have not shown the key; the oldest were cut", "client", c.RemoteAddr())
	}
	c.strange, c.familiar = context.WithCancel(life)
	s.all = append(s.all, c)
}

// oneTooMany is which of them must go before another one comes from an address, nil for none.
func (s *Strangers) oneTooMany(address string) *Conn {
	count := map[string]int{}
	most := ""
	for _, x := range s.all {
		a := addressOf(x.RemoteAddr())
		if count[a]++; count[a] > count[most] {
			most = a
		}
	}
	switch {
	case address != "" && count[address] >= maxFromOne:
		most = address
	case len(s.all) < maxStrangers:
		return nil
	}
	return s.all[slices.IndexFunc(s.all, func(x *Conn) bool { return addressOf(x.RemoteAddr()) == most })]
}

// Turn waits until a key that came over c may be looked at, see Strangers.Turn. An error says that
// c was cut, or that the hall stops.
func (h *Hall) Turn(c *Conn) error {
	if c.Strange() {
		h.frame.Strangers.Turn(c.strange, c.RemoteAddr())
	}
	if !c.Strange() {
		return net.ErrClosed
	}
	return nil
}

// Wrong notes that a wrong key came over c, for a reason, and waits until it is to be refused. It
// returns at once when c is cut or the hall stops.
func (h *Hall) Wrong(c *Conn, reason error) {
	h.frame.Strangers.Wrong(c.strange, c.RemoteAddr(), reason)
}

// Turn waits until a key from an address may be looked at, or until ctx is done: wrong keys of
// another machine are refused one after the other, and none from there is looked at meanwhile.
// Those of this machine do not wait: one program with a wrong key would keep the others out.
func (s *Strangers) Turn(ctx context.Context, from net.Addr) {
	for address := addressOf(from); address != "" && ctx.Err() == nil; {
		s.mu.Lock()
		wait := time.Until(s.turns[address])
		s.mu.Unlock()
		if wait <= 0 {
			return
		}
		Rest(ctx, wait)
	}
}

// Wrong notes that a wrong key came from an address, for a reason, and waits until it is to be
// refused, or until ctx is done: those of one address are refused WrongPause apart, at most
// LongestTurn later.
func (s *Strangers) Wrong(ctx context.Context, from net.Addr, reason error) {
	s.wrong.Warn(s.log, "a client was not let in", "client", from, "err", reason)
	Rest(ctx, s.nextTurn(addressOf(from)))
}

// nextTurn takes the next turn of an address, and says how far ahead it is.
func (s *Strangers) nextTurn(address string) time.Duration {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	for a, at := range s.turns {
		if at.Before(now) {
			delete(s.turns, a)
		}
	}
	at := now
	if s.turns[address].After(now) {
		at = s.turns[address]
	}
	if at = at.Add(WrongPause); at.After(now.Add(LongestTurn)) {
		at = now.Add(LongestTurn)
	}
	s.turns[address] = at
	return at.Sub(now)
}

// addressOf is what the clients of one other machine have in common: its address, or with IPv6 that
// of its network, all of which a machine may have. It is empty for this one, whose programs all
// come from the same address and may be many.
func addressOf(from net.Addr) string {
	a, ok := from.(*net.TCPAddr)
	if !ok || isLocal(from) {
		return ""
	}
	ip, ok := netip.AddrFromSlice(a.IP)
	if !ok {
		return a.IP.String()
	}
	if ip = ip.Unmap(); ip.Is4() {
		return ip.String()
	}
	net, _ := ip.Prefix(64)
	return net.String()
}
