package manager

import (
	"context"
	"net"
	"slices"
	"time"
)

const (
	maxStrangers = 256 // connections that have not shown the key
	maxFromOne   = 64  // of them from one address of another machine
	wrongPause   = 250 * time.Millisecond
	longestTurn  = handshakeTime // most that the turn of an address lies ahead
	lineEvery    = time.Minute
)

// A stranger is a connection that has not shown the key.
type stranger struct {
	address string             // see addressOf
	cut     context.CancelFunc // ends it
}

// strangers are all of them, and what they have tried. Guarded by the Server's mu.
type strangers struct {
	all   []*stranger
	turns map[string]time.Time // by address: when the next wrong key from there is answered
	wrong line
	full  line
	other line // neither a key nor too many
}

// A line is what is logged once a minute, with how often it happened since. The zero value is ready.
type line struct {
	next  time.Time
	times int
}

// due says how often it has happened, and 0 while it is not yet time to say so.
func (l *line) due() (times int) {
	l.times++
	if now := time.Now(); !now.Before(l.next) {
		times, l.times, l.next = l.times, 0, now.Add(lineEvery)
	}
	return times
}

// addressOf is what the strangers of one other machine have in common; empty for this one, whose programs
// all come from the same address and may be many.
func addressOf(nc net.Conn) string {
	a, ok := nc.RemoteAddr().(*net.TCPAddr)
	if !ok || a.IP.IsLoopback() {
		return ""
	}
	return a.IP.String()
}

// enter takes a stranger in. Where there are too many, the oldest of those goes that have come from the same address,
// or else from the address that has sent most: silence keeps nobody else out.
func (s *Server) enter(nc net.Conn, cut context.CancelFunc) *stranger {
	st := &stranger{addressOf(nc), cut}
	s.mu.Lock()
	defer s.mu.Unlock()
	if at := s.strangers.oneTooMany(st.address); at >= 0 {
		s.strangers.all[at].cut()
		s.strangers.all = slices.Delete(s.strangers.all, at, at+1)
		s.say(&s.strangers.full, "manager: too many connections that have not shown the key; the oldest were cut", nc, nil)
	}
	s.strangers.all = append(s.strangers.all, st)
	return st
}

// oneTooMany is which of them must go before another one comes from an address, -1 for none.
func (s *strangers) oneTooMany(address string) int {
	count := map[string]int{}
	most := ""
	for _, x := range s.all {
		if count[x.address]++; count[x.address] > count[most] {
			most = x.address
		}
	}
	switch {
	case address != "" && count[address] >= maxFromOne:
		most = address
	case len(s.all) < maxStrangers:
		return -1
	}
	return slices.IndexFunc(s.all, func(x *stranger) bool { return x.address == most })
}

// say logs what happens to strangers, at most once a minute; the caller holds mu.
func (s *Server) say(l *line, text string, nc net.Conn, err error) {
	if times := l.due(); times > 0 {
		s.log.Warn(text, "client", nc.RemoteAddr(), "err", err, "times", times)
	}
}

// leave ends what enter began.
func (s *Server) leave(st *stranger) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if at := slices.Index(s.strangers.all, st); at >= 0 {
		s.strangers.all = slices.Delete(s.strangers.all, at, at+1)
	}
}

// mayAnswer is how long an answer from another machine waits before it is looked at, because wrong keys came from
// there. Those of this machine do not wait: one program with a wrong key would keep the others out.
func (s *Server) mayAnswer(st *stranger) time.Duration {
	if st.address == "" {
		return 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Until(s.strangers.turns[st.address])
}

// wrongKey is how long a wrong key waits for its refusal: those of one address are refused one after the other.
func (s *Server) wrongKey(st *stranger, nc net.Conn, err error) time.Duration {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.strangers.turns
	for address, at := range t {
		if at.Before(now) {
			delete(t, address)
		}
	}
	at := now
	if t[st.address].After(now) {
		at = t[st.address]
	}
	if at = at.Add(wrongPause); at.After(now.Add(longestTurn)) {
		at = now.Add(longestTurn)
	}
	t[st.address] = at
	s.say(&s.strangers.wrong, "manager: a client was not let in", nc, err)
	return at.Sub(now)
}
