package manager

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/door"
	"github.com/glassq/glassq/internal/door/manager/pickle"
	"github.com/glassq/glassq/internal/live"
	"github.com/glassq/glassq/internal/rights"
)

const (
	identPrefix  = "q-"
	firstRequest = 1 << 20 // most bytes of the first request
	ackFrom      = 16000   // bytes of a body from which Python writes its length by itself
	keepBuffer   = 64 << 10
	keepIn       = 4 << 10          // more of a request is room among the bodies in flight
	frameExtra   = 1 << 20          // bytes of a request beside the value, and of a pickle beside its text
	discardTo    = 4                // times the limit up to which an oversized first request is read past
	discardFor   = 10 * time.Minute // for which an oversized call is read past
)

// The methods of a proxy, in the order in which create names them.
var exposed = []string{"empty", "full", "get", "get_nowait", "join", "put", "put_nowait", "qsize", "task_done",
	"close", "join_thread", "cancel_join_thread", "shutdown"}

// A conn is one client; all of it belongs to its goroutine, but for nc's deadlines and what watch
// says.
type conn struct {
	s       *Server
	nc      *door.Conn
	raw     syscall.RawConn // nil when it is not TCP
	r       *bufio.Reader
	ctx     context.Context
	dec     pickle.Decoder // of requests
	stored  pickle.Decoder // of values that were stored
	in, out []byte
	python2 bool
	by      proof      // how it has shown the key
	store   door.Store // as the client may use it
	taken   func()     // gives back the room of the request; nil where it has none

	answer  *door.Answer   // while an item is handed out
	held    *glassq.Lease  // handed out, without its body, and not yet confirmed by another call
	undone  []glassq.Lease // handed out, without their bodies, and not yet told done, where that is what confirms; oldest first
	late    *glassq.Lease  // what the client says it got before, which is over or somebody else's; nil for none
	fresh   bool           // the last of them came with the last reply, and nothing has come from the client since
	serving bool
	reset   bool // the connection did not end in good order

	mainThread bool    // of its client, as far as that says
	refs       witness // guarded by s.mu
}

func newConn(s *Server, nc *door.Conn) *conn {
	c := &conn{s: s, nc: nc, r: bufio.NewReaderSize(nc, 4096)}
	if sc, ok := nc.Conn.(*net.TCPConn); ok {
		c.raw, _ = sc.SyscallConn()
	}
	return c
}

// client is how the actions of the client are audited.
func (c *conn) client() door.Client {
	return door.Client{Frame: &c.s.frame, Door: "manager", From: door.Peer(c.nc.RemoteAddr())}
}

func (c *conn) dialect() pickle.Dialect {
	if c.python2 {
		return pickle.Python2
	}
	return pickle.Python3
}

// soon gives the next reads handshakeTime.
func (c *conn) soon() { c.nc.SetReadDeadline(time.Now().Add(handshakeTime)) }

func (c *conn) sendRaw(words ...string) error {
	b := beginFrame(c.out)
	for _, w := range words {
		b = append(b, w...)
	}
	c.out = b
	return c.flush()
}

// flush sends the message in out.
func (c *conn) flush() error {
	err := c.answer.Send(c.nc, endFrame(c.out))
	if cap(c.out) > keepBuffer {
		c.out = nil
	}
	return err
}

// errOther ends a client whose first bytes are no short message.
var errOther = errors.New("it does not speak as Python's managers do; HTTP, memcached and TLS have other addresses")

// shakeHands has both sides prove that they have the key, the client first.
func (c *conn) shakeHands() error {
	c.soon()
	read := func() (b []byte, err error) {
		quickAck(c.raw)
		c.in, err = readFrame(c.r, c.in, maxHandshake)
		return c.in, err
	}
	challenge := newChallenge()
	if err := c.sendRaw(wordChallenge, string(challenge)); err != nil {
		return err
	}
	answer, err := read()
	if errors.Is(err, errOversize) {
		return errOther
	}
	if err != nil {
		return err
	}
	if err := c.s.hall.Turn(c.nc); err != nil {
		return err
	}
	key, who, by, err := checkAnswer(c.s.frame.Access, challenge, answer, c.s.opt.Strict)
	if err != nil {
		err = fmt.Errorf("%w; it was answered with %s", err, by)
		c.client().Login(context.Background(), who, err)
		c.s.hall.Wrong(c.nc, err)
		c.sendRaw(wordFailure) // the client has gone, at the worst
		return err
	}
	c.by, c.store = by, door.NewStore(c.s.broker, who, c.client())
	c.client().Login(context.Background(), who, nil)
	c.soon() // anew, for it may have waited
	if err := c.sendRaw(wordWelcome); err != nil {
		return err
	}
	message, err := read()
	if err != nil {
		return err
	}
	reply, ok := answerTo(key, message, by, c.s.opt.Strict)
	if !ok {
		return errors.New("the client's challenge cannot be answered")
	}
	if err := c.sendRaw(string(reply)); err != nil {
		return err
	}
	last, err := read()
	if err == nil && string(last) != wordWelcome {
		err = errors.New("the client does not accept our key")
	}
	quickAck(c.raw)
	return err
}

// run serves requests until either side ends the connection.
func (c *conn) run(ctx context.Context) {
	ctx, over := c.store.Who.Within(ctx)
	defer over()
	c.ctx = live.WithCaller(ctx, live.Caller{Door: "manager", Worker: door.Peer(c.nc.RemoteAddr()), Version: "Python"})
	defer c.end()
	c.soon()
	limit := int64(firstRequest)
	for {
		err := c.read(limit)
		switch {
		case err == errOversize:
			if c.raise(&exception{"ValueError", "the value is over the limit (serve --max-body)"}) != nil || !c.serving {
				return
			}
			continue
		case err != nil:
			// A client that ended with the reply on its way has closed in good order, and never saw
			// it.
			c.reset = !errors.Is(err, io.EOF) || c.fresh && unacknowledged(c.raw)
			if !errors.Is(err, io.EOF) && ctx.Err() == nil {
				c.s.frame.Log.Info("manager: a client is cut, or has gone", "client", c.nc.RemoteAddr(), "err", err)
			}
			return
		}
		req, err := c.parse()
		if err != nil {
			err = c.traceback("the request is refused: " + err.Error())
		} else {
			err = c.do(req)
		}
		c.giveRoom()
		if err != nil || !c.serving {
			c.reset = c.reset || err != nil
			return
		}
		limit = int64(c.s.broker.Limits().MaxBody) + frameExtra
		c.nc.SetReadDeadline(time.Time{}) // a worker may be silent for days
		if c.s.hall.Draining() {
			return
		}
	}
}

// read reads a request into in. One over the limit is read past if it is not much too long.
func (c *conn) read(limit int64) error {
	if _, err := c.r.Peek(1); err != nil {
		return err
	}
	c.fresh = false // a client that says something has read the last reply
	if c.r.Buffered() < maxHead {
		c.soon() // the head that has begun; its body keeps a pace
	}
	n, err := readLength(c.r)
	if err != nil {
		return err
	}
	if n > ackFrom {
		quickAck(c.raw)
	}
	if n > limit {
		if !c.serving && n > discardTo*limit {
			return fmt.Errorf("%w: %d bytes", errFrame, n)
		}
		cut := time.AfterFunc(discardFor, func() { c.nc.Close() })
		defer cut.Stop()
		if err := door.Discard(sender{c}, n); err != nil {
			return fmt.Errorf("%w of %d bytes, not read to its end: %w", errOversize, n, err)
		}
		return errOversize
	}
	c.nc.SetReadDeadline(time.Time{})
	if n <= int64(c.r.Buffered()) {
		c.in, err = readBody(c.r, c.in, n)
		return err
	}
	in, taken, err := c.s.frame.Intake.Receive(c.ctx, sender{c}, c.in, int(n), int(n))
	if err == nil {
		c.in, c.taken = in, taken
	}
	return err
}

// A sender is where the body of a request comes from.
type sender struct{ *conn }

func (s sender) Read(b []byte) (int, error) { return s.r.Read(b) }

func (s sender) SetReadDeadline(t time.Time) error { return s.nc.SetReadDeadline(t) }

// giveBudget says that the request is in flight no longer.
func (c *conn) giveBudget() {
	if c.taken != nil {
		c.taken()
		c.taken = nil
	}
}

func (c *conn) giveRoom() {
	c.giveBudget()
	c.dec.Forget()
	c.stored.Forget()
	if cap(c.in) > keepIn {
		c.in = nil
	}
}

// end gives up what the connection used, and settles the items that nobody confirmed.
func (c *conn) end() {
	c.giveRoom()
	c.settleDelivery()
}

// A request is (ident, method, args, kwds).
type request struct {
	ident, method string
	args          []*pickle.Value
	kwds          *pickle.Value
}

func (c *conn) parse() (r request, err error) {
	v, proto, err := c.dec.Decode(c.in)
	if err != nil {
		return r, err
	}
	if !c.serving {
		c.python2 = proto <= 2
	}
	if v.Kind != pickle.Tuple || len(v.Items) != 4 {
		return r, errors.New("not a tuple of four")
	}
	id, name, args, kwds := v.Items[0], v.Items[1], v.Items[2], v.Items[3]
	if !isText(id) && id.Kind != pickle.None || !isText(name) || args.Kind != pickle.Tuple && args.Kind != pickle.List ||
		kwds.Kind != pickle.Dict {
		return r, errors.New("not an ident, a name, a tuple and a dict")
	}
	for i := 0; i < len(kwds.Items); i += 2 {
		if !isText(kwds.Items[i]) {
			return r, errors.New("a keyword that is not text")
		}
	}
	return request{string(id.Raw), string(name.Raw), args.Items, kwds}, nil
}

func isText(v *pickle.Value) bool { return v.Kind == pickle.Text || v.Kind == pickle.Str }

// do serves one request; an error ends the connection.
func (c *conn) do(r request) error {
	if err := c.store.Who.Over(); err != nil {
		return err
	}
	if c.serving {
		queue, ok := resolve(r.ident)
		if !ok {
			return c.traceback("there is no object " + r.ident)
		}
		c.s.called(c, r.ident)
		return c.call(queue, r)
	}
	arg := ""
	if len(r.args) > 0 && isText(r.args[0]) {
		arg = string(r.args[0].Raw)
	}
	switch r.method {
	case "accept_connection":
		c.serving, c.mainThread = true, ofMainThread(arg)
		c.s.frame.Log.Debug("manager: a client is served", "client", c.nc.RemoteAddr(), "name", arg, "digest", c.by.String())
	case "dummy":
	case "incref":
		c.s.increfed(arg)
	case "decref":
		c.s.decrefed(arg)
	case "create":
		return c.create(arg, r)
	case "get_methods":
		return c.reply(func(b []byte) []byte { return appendNames(b) })
	case "number_of_objects":
		all, err := c.store.Queues(c.ctx)
		if err != nil {
			return c.fault(err)
		}
		return c.reply(func(b []byte) []byte { return appendInt(b, int64(len(all))) })
	case "debug_info":
		return c.reply(func(b []byte) []byte { return pickle.AppendText(b, "glassq", pickle.Python2) })
	case "shutdown":
		return c.traceback("a client cannot stop this server")
	default:
		return c.traceback(r.method + " is not a function of this server")
	}
	return c.reply(appendNone)
}

func (c *conn) create(typeid string, r request) error {
	queue, ok := c.s.queueOf(typeid)
	switch {
	case typeid == "get_queue" && !ok && len(r.args) == 2 && isText(r.args[1]):
		queue = string(r.args[1].Raw)
		ok = glassq.CheckName(queue) == nil
	case len(r.args) > 1 || len(r.kwds.Items) > 0:
		return c.traceback(typeid + " takes no arguments")
	}
	if !ok {
		return c.traceback("nothing is registered as " + typeid +
			"; names are get_<queue>_queue, and those of serve --manager-queue")
	}
	if err := c.store.Who.May(rights.VerbQueue, queue); err != nil {
		return c.traceback(err.Error())
	}
	var random [6]byte
	rand.Read(random[:])
	id := identPrefix + queue + "~" + hex.EncodeToString(random[:]) + c.s.shutdowns(queue)
	c.s.created(id)
	return c.reply(func(b []byte) []byte {
		return append(appendNames(pickle.AppendText(b, id, pickle.Python2)), 0x86)
	})
}

// resolve finds the queue of an ident, of this or an earlier run of the server.
func resolve(id string) (string, bool) {
	id, ok := strings.CutPrefix(id, identPrefix)
	at := strings.LastIndexByte(id, '~')
	if !ok || at < 0 || glassq.CheckName(id[:at]) != nil {
		return "", false
	}
	return id[:at], true
}
