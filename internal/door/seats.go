package door

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"syscall"
	"time"
)

// Seats bound the connections of all doors of a server. Safe for concurrent use.
type Seats struct {
	*Budget
	each int // of one other machine, at most
	log  *slog.Logger

	mu   sync.Mutex
	from map[string]int // by address; guarded by mu
	full Line
	many Line
}

// NewSeats makes seats for all connections, and for each of one other machine; 0 is AllSeats(), and
// half of all.
func NewSeats(all, each int64, log *slog.Logger) *Seats {
	if all <= 0 {
		all = AllSeats()
	}
	if each <= 0 {
		each = max(1, all/2)
	}
	return &Seats{Budget: NewBudget(all), each: int(min(each, all)), log: log, from: map[string]int{}}
}

// Most is how many connections there may be.
func (s *Seats) Most() int64 { return s.size }

// enter counts a connection from an address, if it may have one more.
func (s *Seats) enter(address string) bool {
	if address == "" {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.from[address] >= s.each {
		return false
	}
	s.from[address]++
	return true
}

// leave ends what Take and enter began.
func (s *Seats) leave(address string) {
	if address != "" {
		s.mu.Lock()
		if s.from[address]--; s.from[address] == 0 {
			delete(s.from, address)
		}
		s.mu.Unlock()
	}
	s.Give(1)
}

// Listen returns ln with the pauses and the seats of the frame: Accept waits while all seats are
// taken, and where the system has no file descriptor left, until the listener is closed. A client
// of a machine that has too many connections is told full, unless the door has TLS, and cut. Its
// connections are of type *Conn.
func (f *Frame) Listen(ln net.Listener, full string) net.Listener {
	l := &listener{Listener: ln, frame: f, told: full}
	l.open, l.shut = context.WithCancel(context.Background()) // ended by Close
	return l
}

type listener struct {
	net.Listener
	frame *Frame
	told  string
	open  context.Context
	shut  context.CancelFunc
}

func (l *listener) Close() error {
	l.shut()
	return l.Listener.Close()
}

func (l *listener) Accept() (net.Conn, error) {
	seats := l.frame.Seats
	for {
		if seats.Free() < 1 {
			seats.full.Warn(seats.log, "no connection can be taken: as many as there may be are open (serve --max-connections)",
				"connections", seats.size)
		}
		if err := seats.Take(l.open, 1); err != nil {
			return nil, net.ErrClosed
		}
		nc, err := l.accept()
		if err != nil {
			seats.Give(1)
			return nil, err
		}
		address := addressOf(nc.RemoteAddr())
		if seats.enter(address) {
			return &Conn{Conn: nc, frame: l.frame, address: address, seated: true}, nil
		}
		seats.Give(1)
		seats.many.Warn(seats.log, "a client was cut: its machine has as many connections as one may have (serve --max-connections-per-address)",
			"client", nc.RemoteAddr(), "connections", seats.each)
		if l.told != "" && l.frame.TLS == nil {
			nc.SetWriteDeadline(time.Now().Add(moment)) // what is written first finds room as a rule
			nc.Write([]byte(l.told))
		}
		nc.Close()
	}
}

// accept takes one connection. Where there is no file descriptor it waits: connections that end
// make room, and those that are there go on.
func (l *listener) accept() (net.Conn, error) {
	for pause := 5 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		nc, err := l.Listener.Accept()
		if err == nil || !errors.Is(err, syscall.EMFILE) && !errors.Is(err, syscall.ENFILE) {
			return nc, err
		}
		l.frame.Log.Error("no connection can be taken: out of file descriptors", "err", err)
		Rest(l.open, pause)
	}
}
