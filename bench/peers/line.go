package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

// A line is a connection to a server that speaks lines: memcached's text, beanstalkd's, Redis'. Requests that are under
// way together are written at once, and then their answers read: the same client for the three of them.
type line struct {
	net.Conn
	in  *bufio.Reader
	out []byte
}

func dialLine(ctx context.Context, addr string) (*line, error) {
	c, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return &line{Conn: c, in: bufio.NewReaderSize(c, 64<<10)}, nil
}

func (l *line) Close() { l.Conn.Close() }

// send writes what was gathered in out.
func (l *line) send() error {
	l.SetDeadline(time.Now().Add(2 * time.Minute))
	_, err := l.Write(l.out)
	l.out = l.out[:0]
	return err
}

// next reads a line without its end. It is good until the read after it.
func (l *line) next() ([]byte, error) {
	text, err := l.in.ReadSlice('\n')
	return bytes.TrimRight(text, "\r\n"), err
}

// expect reads n answers, each of which begins with want.
func (l *line) expect(n int, want string) error {
	for range n {
		text, err := l.next()
		if err != nil {
			return err
		}
		if !bytes.HasPrefix(text, []byte(want)) {
			return fmt.Errorf("answered %.80q, want %s", text, want)
		}
	}
	return nil
}

// A memcache is a connection to Glassq's memcached door.
type memcache struct {
	*line
	queue    string
	leases   []string
	wait, at []byte // requests to take: the first one, which waits, and the others
}

func dialMemcache(ctx context.Context, s *server, queue string, _ bool) (conn, error) {
	l, err := dialLine(ctx, s.addr)
	if err != nil {
		return nil, err
	}
	return &memcache{line: l, queue: queue, at: []byte("gets " + queue + "/open\r\n"),
		wait: fmt.Appendf(nil, "gets %s/open/t=%d\r\n", queue, moment.Milliseconds())}, nil
}

func (m *memcache) Put(_ context.Context, bodies [][]byte) error {
	for _, b := range bodies {
		m.out = append(m.out, "set "...)
		m.out = append(m.out, m.queue...)
		m.out = append(m.out, " 0 0 "...)
		m.out = strconv.AppendInt(m.out, int64(len(b)), 10)
		m.out = append(append(append(m.out, "\r\n"...), b...), "\r\n"...)
	}
	if err := m.send(); err != nil {
		return err
	}
	return m.expect(len(bodies), "STORED")
}

func (m *memcache) Turn(_ context.Context, max int, result bool) (int, error) {
	m.out = append(m.out, m.wait...)
	for range max - 1 {
		m.out = append(m.out, m.at...)
	}
	if err := m.send(); err != nil {
		return 0, err
	}
	m.leases = m.leases[:0]
	for range max {
		text, err := m.next()
		if err != nil {
			return 0, err
		}
		if string(text) == "END" {
			continue
		}
		f := bytes.Fields(text) // VALUE key flags bytes lease
		if len(f) != 5 {
			return 0, fmt.Errorf("gets answered %.80q", text)
		}
		m.leases = append(m.leases, string(f[4]))
		size, _ := strconv.Atoi(string(f[3]))
		if _, err := m.in.Discard(size + 2); err != nil {
			return 0, err
		}
		if err := m.expect(1, "END"); err != nil {
			return 0, err
		}
	}
	want := "DELETED"
	for _, lease := range m.leases {
		if result {
			want = "STORED"
			m.out = fmt.Appendf(m.out, "cas %s 0 0 %d %s\r\n%s\r\n", results, len(answer), lease, answer)
		} else {
			m.out = append(append(m.out, "delete "...), m.queue...)
			m.out = append(append(append(m.out, '/'), lease...), "\r\n"...)
		}
	}
	if len(m.leases) == 0 {
		return 0, nil
	}
	if err := m.send(); err != nil {
		return 0, err
	}
	return len(m.leases), m.expect(len(m.leases), want)
}

// A beanstalk is a connection to beanstalkd: the tube it puts into is the queue, or results where it works.
type beanstalk struct {
	*line
	using string
	queue string
	jobs  []string
}

func dialBeanstalk(ctx context.Context, s *server, queue string, _ bool) (conn, error) {
	l, err := dialLine(ctx, s.addr)
	if err != nil {
		return nil, err
	}
	b := &beanstalk{line: l, queue: queue}
	b.out = fmt.Appendf(nil, "watch %s\r\nignore default\r\n", queue)
	if err := b.send(); err != nil {
		return nil, err
	}
	return b, b.expect(2, "WATCHING")
}

func (b *beanstalk) use(tube string) error {
	if b.using == tube {
		return nil
	}
	b.using = tube
	b.out = fmt.Appendf(b.out, "use %s\r\n", tube)
	if err := b.send(); err != nil {
		return err
	}
	return b.expect(1, "USING")
}

func (b *beanstalk) append(body []byte) {
	b.out = append(b.out, "put 0 0 60 "...)
	b.out = strconv.AppendInt(b.out, int64(len(body)), 10)
	b.out = append(append(append(b.out, "\r\n"...), body...), "\r\n"...)
}

func (b *beanstalk) Put(_ context.Context, bodies [][]byte) error {
	if err := b.use(b.queue); err != nil {
		return err
	}
	for _, body := range bodies {
		b.append(body)
	}
	if err := b.send(); err != nil {
		return err
	}
	return b.expect(len(bodies), "INSERTED")
}

func (b *beanstalk) Turn(_ context.Context, max int, result bool) (int, error) {
	b.out = append(b.out, "reserve-with-timeout 1\r\n"...) // it knows whole seconds
	for range max - 1 {
		b.out = append(b.out, "reserve-with-timeout 0\r\n"...)
	}
	if err := b.send(); err != nil {
		return 0, err
	}
	b.jobs = b.jobs[:0]
	for range max {
		text, err := b.next()
		if err != nil {
			return 0, err
		}
		if string(text) == "TIMED_OUT" {
			continue
		}
		f := bytes.Fields(text) // RESERVED id bytes
		if len(f) != 3 || string(f[0]) != "RESERVED" {
			return 0, fmt.Errorf("reserve answered %.80q", text)
		}
		b.jobs = append(b.jobs, string(f[1]))
		size, _ := strconv.Atoi(string(f[2]))
		if _, err := b.in.Discard(size + 2); err != nil {
			return 0, err
		}
	}
	if len(b.jobs) == 0 {
		return 0, nil
	}
	if result {
		if err := b.use(results); err != nil {
			return 0, err
		}
		for range b.jobs {
			b.append([]byte(answer))
		}
		if err := b.send(); err != nil {
			return 0, err
		}
		if err := b.expect(len(b.jobs), "INSERTED"); err != nil {
			return 0, err
		}
	}
	for _, job := range b.jobs {
		b.out = append(append(append(b.out, "delete "...), job...), "\r\n"...)
	}
	if err := b.send(); err != nil {
		return 0, err
	}
	return len(b.jobs), b.expect(len(b.jobs), "DELETED")
}

// A stream is a connection to Redis: tasks are entries of a stream that a group of consumers reads.
type stream struct {
	*line
	queue string
	ids   []string
}

const group = "g"

func dialStream(ctx context.Context, s *server, queue string, _ bool) (conn, error) {
	l, err := dialLine(ctx, s.addr)
	if err != nil {
		return nil, err
	}
	r := &stream{line: l, queue: queue}
	r.say("PING")
	if err := r.send(); err != nil {
		return nil, err
	}
	return r, r.expect(1, "+PONG") // one that still loads its file answers otherwise
}

// prepareStreams makes the groups.
func prepareStreams(ctx context.Context, s *server) error {
	k, err := dialStream(ctx, s, queue, false)
	if err != nil {
		return err
	}
	defer k.Close()
	r := k.(*stream)
	for _, q := range queues {
		r.say("XGROUP", "CREATE", q, group, "0", "MKSTREAM")
	}
	if err := r.send(); err != nil {
		return err
	}
	return r.expect(len(queues), "+OK")
}

// say gathers a command.
func (r *stream) say(words ...string) { r.sayOf(words, nil) }

func (r *stream) sayOf(words, more []string) {
	r.out = append(strconv.AppendInt(append(r.out, '*'), int64(len(words)+len(more)), 10), "\r\n"...)
	for _, list := range [][]string{words, more} {
		for _, w := range list {
			r.out = append(strconv.AppendInt(append(r.out, '$'), int64(len(w)), 10), "\r\n"...)
			r.out = append(append(r.out, w...), "\r\n"...)
		}
	}
}

func (r *stream) Put(_ context.Context, bodies [][]byte) error {
	for _, b := range bodies {
		r.say("XADD", r.queue, "*", "b", string(b))
	}
	if err := r.send(); err != nil {
		return err
	}
	return r.ignore(len(bodies))
}

// ignore reads n answers and only looks whether they are errors.
func (r *stream) ignore(n int) error {
	for range n {
		if _, err := r.answer(); err != nil {
			return err
		}
	}
	return nil
}

// answer reads one answer: text, a number as text, nil, or a list.
func (r *stream) answer() (any, error) {
	text, err := r.next()
	if err != nil {
		return nil, err
	}
	if len(text) == 0 {
		return nil, fmt.Errorf("an empty line for an answer")
	}
	n, _ := strconv.Atoi(string(text[1:]))
	switch text[0] {
	case '-':
		return nil, fmt.Errorf("answered %s", text)
	case '$':
		if n < 0 {
			return nil, nil
		}
		word := make([]byte, n+2)
		_, err := io.ReadFull(r.in, word)
		return string(word[:n]), err
	case '*':
		if n < 0 {
			return nil, nil
		}
		list := make([]any, n)
		for i := range list {
			if list[i], err = r.answer(); err != nil {
				return nil, err
			}
		}
		return list, nil
	}
	return string(text[1:]), nil
}

func (r *stream) Turn(_ context.Context, max int, result bool) (int, error) {
	r.say("XREADGROUP", "GROUP", group, r.LocalAddr().String(), "COUNT", strconv.Itoa(max), "BLOCK",
		strconv.FormatInt(moment.Milliseconds(), 10), "STREAMS", r.queue, ">")
	if err := r.send(); err != nil {
		return 0, err
	}
	got, err := r.answer()
	if err != nil || got == nil {
		return 0, err
	}
	r.ids = r.ids[:0]
	entries := got.([]any)[0].([]any)[1].([]any) // of the only stream: its name, its entries
	for _, e := range entries {
		r.ids = append(r.ids, e.([]any)[0].(string))
	}
	// An entry that is only acked stays in its stream, so it is deleted too: one transaction, all or nothing.
	answers := 5
	r.say("MULTI")
	if result {
		for range r.ids {
			r.say("XADD", results, "*", "b", answer)
		}
		answers += len(r.ids)
	}
	r.sayOf([]string{"XACK", r.queue, group}, r.ids)
	r.sayOf([]string{"XDEL", r.queue}, r.ids)
	r.say("EXEC")
	if err := r.send(); err != nil {
		return 0, err
	}
	return len(r.ids), r.ignore(answers - 1)
}
