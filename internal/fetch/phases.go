package fetch

import (
	"context"
	"crypto/tls"
	"net/http/httptrace"
	"strconv"
	"sync"
	"time"
)

// A stopwatch takes the times of the phases of a request, and of those that redirects add to it.
// The engines' callbacks may come from other goroutines, also when the request is over.
type stopwatch struct {
	mu       sync.Mutex // guards everything below
	began    time.Time  // of the try
	first    time.Time  // first byte of the last answer
	mark     time.Time  // end of the last phase that send, wait and read begin after
	dnsAt    time.Time
	dialAt   time.Time
	tlsAt    time.Time
	done     bool
	answered bool // by the request under way; of the fast engine, which needs no lock for it
	dns      time.Duration
	connect  time.Duration
	tls      time.Duration
	send     time.Duration // until the request is written
	wait     time.Duration // until the first byte of the answer
	read     time.Duration // until its last byte
}

// trace is for net/http, and for a dial of the fast engine.
func (s *stopwatch) trace(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		DNSStart:             func(httptrace.DNSStartInfo) { s.start(&s.dnsAt) },
		DNSDone:              func(httptrace.DNSDoneInfo) { s.end(&s.dnsAt, &s.dns) },
		ConnectStart:         func(string, string) { s.start(&s.dialAt) },
		ConnectDone:          func(_, _ string, err error) { s.dialed(err) },
		TLSHandshakeStart:    func() { s.start(&s.tlsAt) },
		TLSHandshakeDone:     func(tls.ConnectionState, error) { s.end(&s.tlsAt, &s.tls) },
		GotConn:              func(httptrace.GotConnInfo) { s.connected() },
		WroteRequest:         func(httptrace.WroteRequestInfo) { s.wrote() },
		GotFirstResponseByte: s.firstByte,
	})
}

func (s *stopwatch) start(at *time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if at.IsZero() {
		*at = time.Now()
	}
}

func (s *stopwatch) end(at *time.Time, sum *time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.done && !at.IsZero() {
		*sum += time.Since(*at)
		*at = time.Time{}
	}
}

// add adds d to sum, a phase that was measured elsewhere.
func (s *stopwatch) add(sum *time.Duration, d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	*sum += d
}

// dialed ends the connect phase; an address that failed is part of the next one's.
func (s *stopwatch) dialed(err error) {
	if err == nil {
		s.end(&s.dialAt, &s.connect)
	}
}

func (s *stopwatch) connected() { s.addSince(nil) }
func (s *stopwatch) wrote()     { s.addSince(&s.send) }

func (s *stopwatch) firstByte() {
	s.addSince(&s.wait)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.done {
		s.first = s.mark
	}
}

func (s *stopwatch) last() { s.addSince(&s.read) }

// addSince adds the time since the last mark to sum and sets the mark.
func (s *stopwatch) addSince(sum *time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.done {
		return
	}
	now := time.Now()
	if sum != nil && !s.mark.IsZero() {
		*sum += now.Sub(s.mark)
	}
	s.mark = now
}

// append appends the member ph: seconds, to the microsecond, without phases that did not happen. No
// callback changes anything any more.
func (s *stopwatch) append(dst []byte) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done = true
	var first time.Duration
	if !s.first.IsZero() {
		first = s.first.Sub(s.began)
	}
	open := `,"ph":{`
	for _, p := range []struct {
		name string
		d    time.Duration
	}{{"dns", s.dns}, {"connect", s.connect}, {"tls", s.tls}, {"send", s.send}, {"wait", s.wait}, {"read", s.read},
		{"first", first}} {
		if p.d < time.Microsecond {
			continue
		}
		dst = append(dst, open...)
		dst = append(dst, '"')
		dst = append(dst, p.name...)
		dst = append(dst, `":`...)
		dst = strconv.AppendFloat(dst, float64(p.d.Microseconds())/1e6, 'f', -1, 64)
		open = ","
	}
	if open == "," {
		dst = append(dst, '}')
	}
	return dst
}
