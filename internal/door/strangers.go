package door

import (
	"context"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"
)

const (
	maxStrangers = 256 // connections of one door that have not shown a key where one is needed
	maxFromOne   = 64  // of them from one address of another machine
	lineEvery    = time.Minute

	// WrongPause is how long a wrong key waits for its refusal, after the one before it.
	WrongPause = 250 * time.Millisecond

	// LongestTurn is the most that the turn of an address lies ahead.
	LongestTurn = 10 * time.Second
)

// strangers are the connections that have not shown the key, and what they have tried. Guarded by the Hall's mu.
type strangers struct {
	all   []*Conn              // oldest first
	turns map[string]time.Time // by address: when the next wrong key from there is answered
	wrong Line
	full  Line
}

// A Line is what is logged once a minute, with how often it happened since. The zero value is ready. Safe for
// concurrent use.
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

// Strange tells whether the connection is still one of those that have to show the key: its client has not done
// so, and it was neither cut nor closed.
func (c *Conn) Strange() bool { return c.strange != nil && c.strange.Err() == nil }

// Recognize notes that a client has shown who it is. Its connection ends when its token does.
func (h *Hall) Recognize(c *Conn, who Who) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.recognize(c)
	if _, here := h.conns[c]; here && who.live != nil {
		c.stay = who.live.AfterDone(func() {
			h.frame.Log.Info("a client is cut: its token is over", "client", c.RemoteAddr(), "token", who.live.Name)
			c.cut()
		})
	}
}

// recognize is called with mu held.
func (h *Hall) recognize(c *Conn) {
	if at := slices.Index(h.strangers.all, c); at >= 0 {
		h.strangers.all = slices.Delete(h.strangers.all, at, at+1)
		c.familiar()
	}
}

// estrange takes a stranger in. Where there are too many, the oldest of those is cut that have come from the same
// address, or else from the address that has sent most: silence keeps nobody else out. The caller holds mu.
func (h *Hall) estrange(life context.Context, c *Conn) {
	s := &h.strangers
	if old := s.oneTooMany(addressOf(c)); old != nil {
		h.recognize(old)
		old.Conn.Close() // its goroutine sees to the rest
		s.full.Warn(h.frame.Log, "too many connections that have not shown the key; the oldest were cut", "client", c.RemoteAddr())
	}
	c.strange, c.familiar = context.WithCancel(life)
	s.all = append(s.all, c)
}

// oneTooMany is which of them must go before another one comes from an address, nil for none.
func (s *strangers) oneTooMany(address string) *Conn {
	count := map[string]int{}
	most := ""
	for _, x := range s.all {
		a := addressOf(x)
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
	return s.all[slices.IndexFunc(s.all, func(x *Conn) bool { return addressOf(x) == most })]
}

// Turn waits until a key that came over c may be looked at: wrong keys of another machine are refused one after
// the other, and none from there is looked at meanwhile. Those of this machine do not wait: one program with a
// wrong key would keep the others out. An error says that c was cut, or that the hall stops.
func (h *Hall) Turn(c *Conn) error {
	for address := addressOf(c); address != "" && c.Strange(); {
		h.mu.Lock()
		wait := time.Until(h.strangers.turns[address])
		h.mu.Unlock()
		if wait <= 0 {
			break
		}
		Rest(c.strange, wait)
	}
	if !c.Strange() {
		return net.ErrClosed
	}
	return nil
}

// Wrong notes that a wrong key came over c, for a reason, and waits until it is to be refused: those of one address
// are refused WrongPause apart, at most LongestTurn later. It returns at once when c is cut or the hall stops.
func (h *Hall) Wrong(c *Conn, reason error) {
	h.strangers.wrong.Warn(h.frame.Log, "a client was not let in", "client", c.RemoteAddr(), "err", reason)
	Rest(c.strange, h.nextTurn(addressOf(c)))
}

// nextTurn takes the next turn of an address, and says how far ahead it is.
func (h *Hall) nextTurn(address string) time.Duration {
	now := time.Now()
	h.mu.Lock()
	defer h.mu.Unlock()
	s := &h.strangers
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
	if s.turns == nil {
		s.turns = map[string]time.Time{}
	}
	s.turns[address] = at
	return at.Sub(now)
}

// addressOf is what the strangers of one other machine have in common; empty for this one, whose programs
// all come from the same address and may be many.
func addressOf(nc net.Conn) string {
	if a := nc.RemoteAddr(); !isLocal(a) {
		return a.(*net.TCPAddr).IP.String()
	}
	return ""
}
