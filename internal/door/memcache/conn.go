package memcache

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/door"
	"github.com/glassq/glassq/internal/live"
	"github.com/glassq/glassq/internal/rights"
)

const (
	smallIn  = 1 << 10   // bytes of input buffer that an idle connection keeps
	midIn    = 4 << 10   // that one may have that waits for the rest of a command
	largeIn  = 256 << 10 // that one may have whose commands come in bursts; see grow
	outSoft  = 64 << 10  // bytes of answers after which they are sent though input is left
	outKeep  = 256 << 10 // the largest buffer of answers that is used again
	inlineTo = 16 << 10  // bodies beyond are sent by themselves instead of being copied to the answers
	moreAt   = 4 << 10   // room in a large input buffer that is worth a look for more input
	moreIn   = 512       // bytes of room in a small one that are worth to wait for more input
)

// A conn is one client. All of it belongs to its owner, but for nc, which the hall also closes and
// sets deadlines of, and for what watch says.
type conn struct {
	owner

	s   *Server
	let *door.Conn      // as it was let in
	nc  net.Conn        // the same, or TLS over it
	raw syscall.RawConn // of a TCP connection without TLS; nil otherwise
	ctx context.Context // ends waits when the server stops, or the client's token is over

	durable context.Context // of what is done even if the server stops meanwhile
	roomy   context.Context // durable, with the room of bodies; nil before the first get
	bodies  *door.Answer    // that room

	over func() // ends what ctx has of its own; nil where that is nothing

	in    []byte // small, mid or large
	r, w  int    // in[r:w] has been read and not yet used
	lacks int    // bytes of the command at r in all, when some are still to come; 0 when that is not known
	head  int    // bytes of its line, which was parsed into cmd; 0 when it was not
	long  bool   // of the command at r a part of a long line has arrived
	small [smallIn]byte
	mid   *[midIn]byte   // of the pool; nil for none
	large *[largeIn]byte // of the pool, counted in the room for bursts; nil for none
	desk  *desk          // while commands are worked on

	first    bool // no line was read yet, or none since the login
	locked   bool // has to log in
	who      door.Who
	stalling bool      // a read deadline is set
	until    time.Time // by which the command that has begun has to be there, but for a large body; zero: none has
	broken   bool      // an answer could not be written, or the client did not take it
	eof      error
	wrote    time.Time // when the write deadline was last set

	cmd      command
	queue    string                  // the last name of a queue that was checked
	open     map[string]glassq.Token // Kestrel's open reads, by queue
	answered *door.Answer            // while bodies are being sent, that of them: bodies, or one that a loop has split
	unsent   []glassq.Token          // leases handed out in answers that are not written yet
	sent     []glassq.Token          // in those that were written, until the client says something
	n        tally                   // since the last flush
	readRaw  func(fd uintptr) bool   // reads what has arrived, for raw
	nRead    int                     // by readRaw
	writeRaw func(fd uintptr) bool   // writes what it can of the answers, for raw
	nWritten int                     // by writeRaw
}

// A desk is what a connection needs while it has work.
type desk struct {
	out     []byte
	tasks   []glassq.Task
	puts    []put
	acks    []glassq.Ack
	endings []ending
}

var (
	desks  = sync.Pool{New: func() any { return &desk{out: make([]byte, 0, 512)} }}
	mids   = sync.Pool{New: func() any { return new([midIn]byte) }}
	larges = sync.Pool{New: func() any { return new([largeIn]byte) }}
)

// errCut ends a connection on purpose.
var errCut = errors.New("connection cut")

func newConn(ctx context.Context, s *Server, nc *door.Conn) *conn {
	by := live.Caller{Door: "memcached", Worker: door.Peer(nc.RemoteAddr())}
	c := &conn{s: s, let: nc, nc: nc, ctx: live.WithCaller(ctx, by), first: true, locked: s.frame.Access.Locked()}
	c.durable = live.WithCaller(context.WithoutCancel(ctx), by)
	if !c.locked {
		c.who = s.frame.Access.Guest(nc.RemoteAddr(), rights.Any)
	}
	switch t, ok := nc.Conn.(*net.TCPConn); {
	case s.frame.TLS != nil:
		c.nc = tls.Server(nc, s.frame.TLS)
	case ok:
		if raw, err := t.SyscallConn(); err == nil {
			c.raw = raw
			c.readRaw = c.readArrived
			c.writeRaw = c.writeSome
		}
	}
	c.in = c.small[:]
	return c
}

// run serves the client until either side ends the connection, or until a loop takes it over.
func (c *conn) run() {
	if err := c.shakeHands(); err != nil {
		c.s.frame.Log.Debug("handshake failed", "client", c.nc.RemoteAddr(), "err", err)
		c.end()
		return
	}
	if !c.work() {
		c.end()
	}
}

// work is run after the handshake. It reports whether a loop has taken the connection over.
func (c *conn) work() (taken bool) {
	for steps := 0; ; {
		done, err := c.step()
		if done {
			steps++
		}
		if err == nil && (done || c.arrived()) {
			continue
		}
		if c.singles++; steps > 1 || c.large != nil {
			c.singles = 0
		}
		steps = 0
		c.settlePending()
		if ferr := c.flush(); ferr != nil || errors.Is(err, io.EOF) {
			return false
		}
		if err != nil {
			c.linger()
			return false
		}
		if c.rejoin() {
			return true
		}
		next := c.fill
		switch {
		case c.long:
			next = c.readLong
		case c.lacks > midIn:
			next = c.readBig
		}
		switch err := next(); {
		case errors.Is(err, errCut):
			if c.flush() == nil {
				c.linger()
			}
			return false
		case err != nil:
			return false
		}
	}
}

// shakeHands is done before anything is read, where there is TLS.
func (c *conn) shakeHands() error {
	t, ok := c.nc.(*tls.Conn)
	if !ok {
		return nil
	}
	ctx, cancel := context.WithTimeout(c.ctx, stallTimeout)
	defer cancel()
	if err := t.HandshakeContext(ctx); err != nil || !c.locked {
		return err
	}
	state := t.ConnectionState()
	who, ok, err := c.s.frame.Access.WithCertificate(&state)
	if ok {
		c.letIn(who)
	}
	return err
}

// end closes the connection and gives back what the client has not got.
func (c *conn) end() {
	lost := c.unsent
	// Over TLS the answer to what ends a session may be a reset of one who has read all, so it says nothing.
	if len(c.sent) > 0 && (c.broken || c.raw != nil && c.let.Vanished()) {
		lost = append(lost, c.sent...)
	}
	for _, t := range c.open {
		c.s.hall.Kept.Drop(t)
		lost = append(lost, t)
	}
	c.nc.Close()
	if c.over != nil {
		c.over()
	}
	door.GiveBack(c.ctx, c.s.broker, c.s.frame.Log, lost)
	c.s.count.add(&c.n)
	c.release()
	c.r, c.w = 0, 0
	c.shrink()
	c.ungather()
	c.s.count.current.Add(-1)
}

// errLong ends a connection whose line does not end.
var errLong = errors.New("line too long: it has at most 2048 bytes, that of a get or gets 65536")

// Why a client is cut that does not speak memcached.
var (
	errHTTP = errors.New("it speaks HTTP")
	errTLS  = errors.New("it speaks TLS, which this door has with --tls-cert")
)

// cutOther ends such a client's connection, and says to what speaks HTTP what this is.
func (c *conn) cutOther(err error) error {
	c.settlePending()
	c.s.others.Warn(c.s.frame.Log, "a client of the memcached door was cut that does not speak memcached", "client",
		c.nc.RemoteAddr(), "err", err)
	if err == errHTTP {
		c.say(notHTTP)
	}
	return errCut
}

const notHTTP = "HTTP/1.0 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n" +
	"this is glassq's memcached door; its HTTP door has another address\n"

// parseLine parses the next line of the input, unless it was parsed before. It reports whether
// there is a whole one. On an error the connection is to be ended: without a word for io.EOF.
func (c *conn) parseLine() (whole bool, err error) {
	in := c.in[c.r:c.w]
	if c.head > 0 || len(in) == 0 {
		return c.head > 0, nil
	}
	switch {
	case in[0] == 0x16: // no command begins so
		return false, errTLS
	case in[0] == binaryRequest:
		if len(in) < binaryHead {
			return false, nil
		}
		return false, errBinary
	}
	end := bytes.IndexByte(in[:min(len(in), maxLine+2)], '\n')
	if end < 0 {
		if len(in) <= maxLine+1 {
			return false, nil
		}
		if c.first && looksHTTP(in[:maxLine]) {
			return false, errHTTP
		}
		if c.locked || !namesMany(in) {
			return false, errLong
		}
		if end = bytes.IndexByte(in[:min(len(in), maxKeys+2)], '\n'); end < 0 {
			if len(in) > maxKeys+1 {
				return false, errLong
			}
			c.long = true
			return false, nil
		}
	}
	if err := c.useLine(in[:end]); err != nil {
		return false, err
	}
	c.head = end + 1
	return true, nil
}

// useLine parses a whole line, which has no line feed any more.
func (c *conn) useLine(line []byte) error {
	line = bytes.TrimSuffix(line, crLine)
	switch {
	case c.first && looksHTTP(line[:min(len(line), maxLine)]):
		return errHTTP
	case len(line) > maxKeys || len(line) > maxLine && (c.locked || !namesMany(line)):
		return errLong
	}
	parseCommand(line, &c.cmd)
	if c.cmd.verb == verbNone && looksHTTP(line[:min(len(line), maxLine)]) {
		return errHTTP // whenever it comes: what follows may be the body of a web page's request
	}
	return nil
}

var crLine = []byte{'\r'}

// step does the next command of the input. done is false when there is no whole one. An io.EOF ends
// the connection, any other error cuts it.
func (c *conn) step() (done bool, err error) {
	c.lacks, c.long = 0, false
	whole, err := c.parseLine()
	switch err {
	case errLong:
		c.cmd.quiet = false
		return false, c.cut(err.Error())
	case errHTTP, errTLS:
		return false, c.cutOther(err)
	case errBinary:
		return false, c.refuseBinary()
	}
	if !whole {
		return false, err
	}
	cmd := &c.cmd
	if cmd.cut {
		return false, c.cut(cmd.fault)
	}
	in, used := c.in[c.r:c.w], c.head
	var body []byte
	if cmd.size >= 0 {
		if c.locked && cmd.size > maxLogin {
			return false, c.cut(unauthenticated)
		}
		if limit := c.bodyLimit(cmd); cmd.size > limit {
			return c.refuseBody()
		}
		if used+cmd.size+2 > len(in) {
			c.lacks = used + cmd.size + 2
			return false, nil
		}
		body = in[used : used+cmd.size]
		used += cmd.size + 2
		if in[used-2] != '\r' || in[used-1] != '\n' {
			return false, c.cut("bad data chunk")
		}
	}
	c.used(used)
	return true, c.do(body)
}

// used notes that a command, or what is read of it by other ways, takes n bytes of the input.
func (c *conn) used(n int) {
	c.r, c.head, c.first = c.r+n, 0, false
	if !c.locked {
		c.until = time.Time{}
	}
}

// bodyLimit is the largest body that the command may have.
func (c *conn) bodyLimit(cmd *command) int {
	if bytes.HasSuffix(cmd.key, []byte("/batch")) || bytes.Contains(cmd.key, []byte("/batch/")) {
		return glassq.MaxPutBytes
	}
	return c.s.broker.Limits().MaxBody
}

// cut answers a client error after which the connection cannot go on.
func (c *conn) cut(fault string) error {
	c.settlePending()
	c.clientError(fault)
	return errCut
}

// refuseBody reads past a body that is too large, and answers so.
func (c *conn) refuseBody() (bool, error) {
	c.settlePending()
	if c.flush() != nil { // the body may take its time
		return false, io.EOF
	}
	c.used(c.head)
	err := door.Discard(sender{c}, int64(c.cmd.size))
	if err != nil {
		return false, c.lateBody(err)
	}
	end, _, err := c.s.frame.Intake.Receive(c.ctx, sender{c}, nil, 2, 2)
	switch {
	case err != nil:
		return false, c.lateBody(err)
	case string(end) != "\r\n":
		return false, c.cut("bad data chunk")
	}
	c.answerFailure(c.cmd.quiet, tooLarge)
	return true, nil
}

// lateBody ends a connection whose body did not come, with a word where that was for lack of pace.
func (c *conn) lateBody(err error) error {
	if glassq.CodeOf(err) != glassq.CodeUnavailable {
		return io.EOF
	}
	c.answerFailure(c.cmd.quiet, failure(err, ""))
	return errCut
}

// readBig reads the body of a command that a waiting connection has no buffer for, and does the
// command.
func (c *conn) readBig() error {
	c.cmd.moved(bytes.Clone(c.in[c.r : c.r+c.head]))
	size := c.cmd.size + 2
	c.used(c.head)
	c.release()
	body, done, err := c.s.frame.Intake.Receive(c.ctx, sender{c}, nil, size, size)
	c.takeBuffers()
	if err != nil {
		return c.lateBody(err)
	}
	defer done()
	body, ended := bytes.CutSuffix(body, []byte("\r\n"))
	if !ended {
		return c.cut("bad data chunk")
	}
	if err := c.do(body); err != nil {
		return err
	}
	c.settlePending() // the body's room is given back when it is stored
	return nil
}

// A sender is where a body comes from: what was read, and then the connection.
type sender struct{ *conn }

func (s sender) Read(b []byte) (int, error) {
	if s.r < s.w {
		n := copy(b, s.in[s.r:s.w])
		if s.r += n; s.r == s.w {
			s.shrink()
		}
		return n, nil
	}
	n, err := s.nc.Read(b)
	s.n.read += uint64(n)
	return n, err
}

func (s sender) SetReadDeadline(t time.Time) error { return s.nc.SetReadDeadline(t) }

// arrived reads what has arrived meanwhile, without waiting, so that a burst is one batch. It
// reports whether there was anything.
func (c *conn) arrived() bool {
	if c.raw == nil || c.large == nil && c.w < len(c.in) || c.desk == nil {
		return false
	}
	if c.large == nil && !c.grow() {
		return false
	}
	if len(c.in)-c.w < moreAt {
		return false // what is pending lies in the buffer
	}
	c.nRead = 0
	if err := c.raw.Read(c.readRaw); err != nil || c.nRead <= 0 {
		return false
	}
	c.w += c.nRead
	c.n.read += uint64(c.nRead)
	c.sent = c.sent[:0]
	return true
}

// fill waits for input. Everything before it has been answered.
func (c *conn) fill() error {
	defer c.takeBuffers()
	c.release()
	full := c.w == len(c.in)
	c.shrink()
	if full && c.raw == nil {
		c.grow() // what else has arrived of a burst cannot be seen before it is read
	}
	if c.eof != nil {
		return c.eof
	}
	switch within := c.r < c.w || c.locked; {
	case within && c.until.IsZero(): // however slowly it comes: a whole line, or a login
		c.within(stallTimeout)
		c.until = time.Now().Add(stallTimeout)
	case within:
	case c.stalling:
		c.within(0)
	}
	n, err := c.nc.Read(c.in[c.w:])
	c.w += n
	c.n.read += uint64(n)
	if n > 0 {
		c.sent = c.sent[:0]
		return nil
	}
	c.noteReset(err)
	return err
}

// noteReset notes that what was written last was not read: the client ended with it, or was gone
// before.
func (c *conn) noteReset(err error) {
	if errors.Is(err, syscall.ECONNRESET) {
		c.broken = true
	}
}

// burstRoom is how many bytes of large buffers all connections have together. They are never waited
// for: where there is none left, bursts are read in small pieces.
const burstRoom = 32 << 20

// grow moves to a large buffer, if there is one left. Only what has arrived fills it: who waits for
// the rest of a command gives it back before. Pending bytes lie in the smaller buffer and stay
// there.
func (c *conn) grow() bool {
	if c.s.bursts.Add(largeIn) > burstRoom {
		c.s.bursts.Add(-largeIn)
		return false
	}
	c.large = larges.Get().(*[largeIn]byte)
	n := copy(c.large[:], c.in[c.r:c.w])
	c.in, c.r, c.w = c.large[:], 0, n
	c.cmd.moved(c.in[:c.head])
	return true
}

// shrink goes to the beginning of the smallest buffer that can hold the command that has begun to
// arrive, or nothing. Nothing else may be pending.
func (c *conn) shrink() {
	to, begun := c.small[:], c.in[c.r:c.w]
	if len(begun) > 0 && max(c.lacks, len(begun)+moreIn) > smallIn {
		if c.mid == nil {
			c.mid = mids.Get().(*[midIn]byte)
		}
		to = c.mid[:]
	}
	c.in, c.r, c.w = to, 0, copy(to, begun)
	c.cmd.moved(c.in[:c.head])
	if c.large != nil {
		larges.Put(c.large)
		c.s.bursts.Add(-largeIn)
		c.large = nil
	}
	if c.mid != nil && len(to) == smallIn {
		mids.Put(c.mid)
		c.mid = nil
	}
}

// takeBuffers and release get and put back what an idle connection does without.
func (c *conn) takeBuffers() {
	if c.desk == nil {
		c.desk = desks.Get().(*desk)
	}
}

func (c *conn) release() {
	d := c.desk
	if d == nil {
		return
	}
	c.desk = nil
	if cap(d.out) > outKeep {
		return
	}
	d.out = d.out[:0]
	desks.Put(d)
}

// within sets the time in which the next read has to bring something; 0 sets none.
func (c *conn) within(d time.Duration) {
	var t time.Time
	c.until = t
	if c.stalling = d > 0; c.stalling {
		t = time.Now().Add(d)
	}
	c.nc.SetReadDeadline(t)
}

// flush sends the answers.
func (c *conn) flush() error {
	if c.desk == nil || len(c.desk.out) == 0 {
		return nil
	}
	err := c.send(c.desk.out)
	c.desk.out = c.desk.out[:0]
	return err
}

// send writes b, as long as the client takes some of it every now and then.
func (c *conn) send(b []byte) error {
	if c.answered != nil {
		c.answered.Sends()
	}
	for len(b) > 0 {
		if now := time.Now(); now.Sub(c.wrote) > stallTimeout/3 {
			c.wrote = now
			c.nc.SetWriteDeadline(now.Add(stallTimeout))
		}
		n, err := c.nc.Write(b[:min(len(b), outSoft)])
		c.n.written += uint64(n)
		if c.answered != nil {
			c.answered.Went(n)
		}
		if err != nil {
			c.broken = true
			return err
		}
		b = b[n:]
	}
	c.wroteAll()
	return nil
}

// wroteAll notes that the client was sent what there was.
func (c *conn) wroteAll() {
	c.sent, c.unsent = append(c.sent, c.unsent...), c.unsent[:0]
	c.s.count.add(&c.n)
}

// linger lets the last answer reach the client: closing with unread input would take it back.
func (c *conn) linger() {
	half, ok := c.nc.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	c.within(lingerFor)
	end := time.Now().Add(lingerFor)
	for time.Now().Before(end) {
		if _, err := c.nc.Read(c.in); err != nil {
			return
		}
	}
}

// watch reads input while a command waits, to notice when the client goes away. It ends when the
// read deadline passes, or when the buffer is full.
func (c *conn) watch() (gone error) {
	for c.w < len(c.in) {
		n, err := c.nc.Read(c.in[c.w:])
		c.w += n
		c.n.read += uint64(n)
		if err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				return nil
			}
			c.eof = err
			c.noteReset(err)
			return err
		}
	}
	return nil
}
