package manager

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/broker"
	"github.com/glassq/glassq/internal/disk"
	"github.com/glassq/glassq/internal/door"
	"github.com/glassq/glassq/internal/door/manager/pickle"
	"github.com/glassq/glassq/internal/jsonline"
)

// pipes is a listener whose connections are in memory.
type pipes struct {
	calls chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case nc := <-p.calls:
		return nc, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.done) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

// A house is a door with its store; the test ends both.
type house struct {
	t      *testing.T
	broker *broker.Broker
	door   *Server
	ln     *pipes
	stop   func() // ends the door, and waits for that
}

func open(t *testing.T, opt Options, maxBody int) *house {
	t.Helper()
	e, err := disk.Open("mem:", disk.Options{})
	if err != nil {
		t.Fatal(err)
	}
	h := &house{t: t, broker: broker.New(e, glassq.Limits{MaxBody: maxBody}),
		ln: &pipes{calls: make(chan net.Conn), done: make(chan struct{})}}
	if opt.Access == nil {
		opt.Access = door.NewAccess([]byte("secret"))
	}
	h.door = New(h.broker, opt)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- h.door.Run(ctx, h.ln) }()
	h.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run = %v; want nil", err)
		}
	})
	t.Cleanup(func() {
		h.stop()
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return h
}

// dial connects without a word.
func (h *house) dial() net.Conn {
	h.t.Helper()
	ours, theirs := net.Pipe()
	select {
	case h.ln.calls <- theirs:
	case <-h.ln.done:
		h.t.Fatal("the door is closed")
	}
	h.t.Cleanup(func() { ours.Close() })
	return ours
}

func (h *house) configure(queue string, c glassq.SettingsChange) {
	h.t.Helper()
	if _, err := h.broker.Configure(h.t.Context(), queue, c); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) info(queue string) glassq.QueueInfo {
	h.t.Helper()
	q, err := h.broker.Queues(h.t.Context(), queue)
	if errors.Is(err, glassq.ErrNotFound) {
		return glassq.QueueInfo{Name: queue}
	}
	if err != nil {
		h.t.Fatal(err)
	}
	return q[0]
}

// held checks how many tasks of a queue are ready and leased.
func (h *house) held(queue string, ready, leased int64) {
	h.t.Helper()
	synctest.Wait()
	if q := h.info(queue); q.Ready != ready || q.Leased != leased {
		h.t.Fatalf("queue %s: ready %d, leased %d; want %d, %d", queue, q.Ready, q.Leased, ready, leased)
	}
}

// A peer is a client as Python's are.
type peer struct {
	t   *testing.T
	nc  net.Conn
	r   *bufio.Reader
	old bool // it writes and reads as Python 2 does
}

func (p *peer) send(frame []byte) error {
	_, err := p.nc.Write(endFrame(append(beginFrame(nil), frame...)))
	return err
}

func (p *peer) read() ([]byte, error) { return readFrame(p.r, nil, 1<<30) }

// shakeHands shows the key.
func (p *peer) shakeHands(key string) error {
	challenge, err := p.read()
	if err != nil {
		return err
	}
	answer, ok := answerTo([]byte(key), challenge, proof{named: true}, false)
	if !ok {
		return fmt.Errorf("challenge %q", challenge)
	}
	if err := p.send(answer); err != nil {
		return err
	}
	if word, err := p.read(); err != nil || string(word) != wordWelcome {
		return errors.Join(fmt.Errorf("answered %q", word), err)
	}
	mine := newChallenge()
	if err := p.send(append([]byte(wordChallenge), mine...)); err != nil {
		return err
	}
	reply, err := p.read()
	if err != nil {
		return err
	}
	if _, _, _, err := checkAnswer(door.NewAccess([]byte(key)), mine, reply, false); err != nil {
		return fmt.Errorf("the server answers %x", reply)
	}
	return p.send([]byte(wordWelcome))
}

// connect is a client that has shown its key.
func (h *house) connect() *peer {
	h.t.Helper()
	return h.connectWith("secret")
}

// connectWith is connect with another key.
func (h *house) connectWith(key string) *peer {
	h.t.Helper()
	nc := h.dial()
	p := &peer{t: h.t, nc: nc, r: bufio.NewReader(nc)}
	if err := p.shakeHands(key); err != nil {
		h.t.Fatal(err)
	}
	return p
}

// serving is a client whose next requests are calls, and the ident of a proxy of a queue.
func (h *house) serving(name string) (*peer, string) {
	h.t.Helper()
	id := h.proxy(name)
	p := h.connect()
	p.want("#RETURN", "null", nil, "accept_connection", "MainProcess")
	return p, id
}

// proxy makes a proxy as clients do, with the three connections that it takes.
func (h *house) proxy(name string) string {
	h.t.Helper()
	kind, v := h.connect().ask(nil, "create", name)
	if kind != "#RETURN" || v.Kind != pickle.Tuple || len(v.Items) != 2 {
		h.t.Fatalf("create(%s) = %s %s", name, kind, text(v))
	}
	id := string(v.Items[0].Raw)
	h.short("incref", id)
	h.short("decref", id)
	return id
}

// short is a request on a connection of its own.
func (h *house) short(method string, args ...any) {
	h.t.Helper()
	p := h.connect()
	p.want("#RETURN", "null", nil, method, args...)
	if _, err := p.read(); err != io.EOF {
		h.t.Fatalf("after %s: %v; want the end", method, err)
	}
}

// keywords are the last argument of a call.
type keywords map[string]any

// value makes what Python would send.
func value(x any) *pickle.Value {
	switch x := x.(type) {
	case nil:
		return &pickle.Value{Kind: pickle.None}
	case bool:
		v := &pickle.Value{Kind: pickle.Bool}
		if x {
			v.Num = 1
		}
		return v
	case int:
		return &pickle.Value{Kind: pickle.Int, Num: uint64(x)}
	case float64:
		return &pickle.Value{Kind: pickle.Float, Num: math.Float64bits(x)}
	case string:
		return &pickle.Value{Kind: pickle.Text, Raw: []byte(x)}
	case *pickle.Value:
		return x
	case []any:
		v := &pickle.Value{Kind: pickle.Tuple}
		for _, item := range x {
			v.Items = append(v.Items, value(item))
		}
		return v
	case keywords:
		v := &pickle.Value{Kind: pickle.Dict}
		for k, item := range x {
			v.Items = append(v.Items, value(k), value(item))
		}
		return v
	}
	panic(fmt.Sprintf("value of %T", x))
}

func result(i any) *pickle.Value {
	return value(keywords{"i": i, "o": keywords{"ok": 1, "rt": 0.5}})
}

// encode makes a request of a value, as protocol 4 or 2.
func encode(t *testing.T, v *pickle.Value, old bool) []byte {
	t.Helper()
	if _, err := pickle.Check(v, pickle.Limits{}); err != nil {
		t.Fatal(err)
	}
	b, err := pickle.Dump(v, old)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// call sends a request and does not wait for the reply.
func (p *peer) call(id any, method string, args ...any) {
	p.t.Helper()
	kwds := keywords{}
	if n := len(args); n > 0 {
		if k, ok := args[n-1].(keywords); ok {
			args, kwds = args[:n-1], k
		}
	}
	if err := p.send(encode(p.t, value([]any{id, method, args, kwds}), p.old)); err != nil {
		p.t.Fatal(err)
	}
}

// reply reads one: its kind, and the value.
func (p *peer) reply() (string, *pickle.Value) {
	p.t.Helper()
	b, err := p.read()
	if err != nil {
		p.t.Fatalf("no reply: %v", err)
	}
	return reply(p.t, b)
}

func reply(t *testing.T, b []byte) (string, *pickle.Value) {
	t.Helper()
	var d pickle.Decoder
	v, _, err := d.Decode(b)
	if err != nil || v.Kind != pickle.Tuple || len(v.Items) != 2 {
		t.Fatalf("reply %x: %v", b, err)
	}
	return string(v.Items[0].Raw), v.Items[1]
}

func (p *peer) ask(id any, method string, args ...any) (string, *pickle.Value) {
	p.t.Helper()
	p.call(id, method, args...)
	return p.reply()
}

// want checks a reply; see text for how it is written.
func (p *peer) want(kind, want string, id any, method string, args ...any) {
	p.t.Helper()
	p.call(id, method, args...)
	p.wantReply(kind, want)
}

func (p *peer) wantReply(kind, want string) {
	p.t.Helper()
	if k, v := p.reply(); k != kind || text(v) != want {
		p.t.Fatalf("reply %s %s; want %s %s", k, text(v), kind, want)
	}
}

// text is the name of an exception, or a value as JSON.
func text(v *pickle.Value) string {
	if _, name := v.Class(); name != "" {
		return name
	}
	if _, err := pickle.Check(v, pickle.Limits{}); err != nil {
		return err.Error()
	}
	b, err := pickle.AppendJSON(nil, v, false, 64<<20)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// under runs f in a bubble of fake time.
func under(t *testing.T, opt Options, f func(*house)) {
	t.Helper()
	limited(t, opt, 0, f)
}

// limited is under with a bound of bodies.
func limited(t *testing.T, opt Options, maxBody int, f func(*house)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h := open(t, opt, maxBody)
		f(h)
		h.stop()
	})
}

// most sets the bound of a queue.
func (h *house) most(queue string, n int64) {
	h.configure(queue, glassq.SettingsChange{MaxTasks: &n})
}

// TestPutWaits: a put into a full queue is parked, and done in the moment in which there is room.
func TestPutWaits(t *testing.T) {
	under(t, Options{}, func(h *house) {
		h.most("tasks", 1)
		a, id := h.serving("get_task_queue")
		b, idB := h.serving("get_task_queue")
		a.want("#RETURN", "null", id, "put", "one")
		a.want("#RETURN", "true", id, "full")
		a.want("#ERROR", "Full", id, "put_nowait", "x")
		a.want("#ERROR", "Full", id, "put", "x", false)
		start := time.Now()
		a.want("#ERROR", "Full", id, "put", "x", keywords{"timeout": 2.5})
		if d := time.Since(start); d != 2500*time.Millisecond {
			t.Errorf("put with a timeout of 2.5 s took %v", d)
		}
		b.call(idB, "put", "two")
		time.Sleep(1234567 * time.Microsecond)
		h.held("tasks", 1, 0)
		a.want("#RETURN", `"one"`, id, "get")
		start = time.Now()
		a.want("#RETURN", "false", id, "empty") // which confirms: there is room, and taken
		b.wantReply("#RETURN", "null")
		if d := time.Since(start); d != 0 {
			t.Errorf("the parked put came %v after there was room; want at once", d)
		}
		a.want("#RETURN", `"two"`, id, "get", true, 1)
	})
}

// TestPutGone: the item of a client that went away while its put waited is not added.
func TestPutGone(t *testing.T) {
	under(t, Options{}, func(h *house) {
		h.most("tasks", 1)
		a, id := h.serving("get_task_queue")
		b, idB := h.serving("get_task_queue")
		a.want("#RETURN", "null", id, "put", "one")
		b.call(idB, "put", "two")
		synctest.Wait()
		b.nc.Close()
		synctest.Wait()
		a.want("#RETURN", `"one"`, id, "get")
		a.want("#RETURN", "0", id, "qsize")
		h.held("tasks", 0, 0)
	})
}

// TestResultWaits: the result of an item waits for room in its queue, and is stored with the ack.
func TestResultWaits(t *testing.T) {
	under(t, Options{}, func(h *house) {
		h.most("results", 1)
		a, id := h.serving("get_task_queue")
		idR := h.proxy("get_result_queue")
		for _, s := range []string{"one", "two"} {
			a.want("#RETURN", "null", id, "put", s)
		}
		a.want("#RETURN", `"one"`, id, "get")
		a.want("#RETURN", "null", idR, "put", result("one"))
		a.want("#RETURN", `"two"`, id, "get")
		a.want("#ERROR", "Full", idR, "put", result("two"), keywords{"timeout": 300})
		a.call(idR, "put", result("two"))
		time.Sleep(5 * leaseLength)
		h.held("tasks", 0, 1) // extended meanwhile
		b, idB := h.serving("get_result_queue")
		if _, v := b.ask(idB, "get"); string(v.Member("i").Raw) != "one" {
			t.Errorf("result %s; want of one", text(v))
		}
		b.want("#RETURN", "1", idB, "qsize") // which confirms, and the other one comes
		a.wantReply("#RETURN", "null")
		h.held("tasks", 0, 0)
		if q := h.info("tasks"); q.Books != (glassq.Books{Put: 2, OK: 2}) {
			t.Errorf("books %+v; want put 2, ok 2", q.Books)
		}
	})
}

// TestKeys: what is put has the key that the options say, and a result none.
func TestKeys(t *testing.T) {
	under(t, Options{Keys: map[string]jsonline.KeySource{"tasks": "{tenant}", "results": "{i}"}}, func(h *house) {
		a, id := h.serving("get_task_queue")
		idR := h.proxy("get_result_queue")
		item := value(keywords{"tenant": "gold", "n": 1})
		a.want("#RETURN", "null", id, "put", item)
		a.want("#RETURN", "null", id, "put", "text")
		a.want("#ERROR", "ValueError", id, "put", value(keywords{"tenant": strings.Repeat("k", 129)}))
		got, err := h.broker.Reserve(t.Context(), glassq.Reserve{Queue: "tasks", Max: 2})
		if err != nil || len(got) != 2 || got[0].Key != "gold" || got[1].Key != "" {
			t.Errorf("tasks %+v, %v; want the keys gold and none", got, err)
		}
		a.want("#RETURN", "null", id, "put", item)
		a.ask(id, "get")
		a.want("#RETURN", "null", idR, "put", result("one"))
		got, err = h.broker.Reserve(t.Context(), glassq.Reserve{Queue: "results", Max: 1})
		if err != nil || len(got) != 1 || got[0].Key != "" {
			t.Errorf("results %+v, %v; want one without a key", got, err)
		}
	})
}

// TestJoin: join ends when every item was got and told done.
func TestJoin(t *testing.T) {
	under(t, Options{}, func(h *house) {
		a, id := h.serving("get_task_queue")
		b, idB := h.serving("get_task_queue")
		b.want("#RETURN", "null", idB, "join") // nothing was ever put
		a.want("#ERROR", "ValueError", id, "task_done")
		a.want("#RETURN", "null", id, "put", "one")
		a.want("#RETURN", "null", id, "put", "two")
		b.call(idB, "join")
		joined := make(chan time.Time, 1)
		go func() {
			b.wantReply("#RETURN", "null")
			joined <- time.Now()
		}()
		a.want("#RETURN", `"one"`, id, "get")
		a.want("#RETURN", `"two"`, id, "get")
		a.want("#RETURN", "null", id, "task_done")
		time.Sleep(12345 * time.Millisecond)
		select {
		case <-joined:
			t.Fatal("join ended before the second task_done")
		default:
		}
		done := time.Now()
		a.want("#RETURN", "null", id, "task_done")
		if d := (<-joined).Sub(done); d != 0 {
			t.Errorf("join ended %v after the last task_done; want at once", d)
		}
		a.want("#ERROR", "ValueError", id, "task_done")
	})
}

// TestLeaseLost: a result of an item that somebody else has meanwhile is refused, not stored
// beside.
func TestLeaseLost(t *testing.T) {
	under(t, Options{}, func(h *house) {
		a, id := h.serving("get_task_queue")
		idR := h.proxy("get_result_queue")
		a.want("#RETURN", "null", id, "put", "one")
		a.want("#RETURN", `"one"`, id, "get")
		token := h.door.idents[id].users[0].held.Token()
		if errs, err := h.broker.Nack(t.Context(), []glassq.Nack{{Token: token, Undone: true}}); err != nil ||
			errs[0] != nil {
			t.Fatal(errs, err)
		}
		a.want("#ERROR", "RuntimeError", idR, "put", result("one"))
		h.held("tasks", 1, 0)
		h.held("results", 0, 0)
		a.want("#RETURN", `"one"`, id, "get")
		a.want("#RETURN", "null", idR, "put", result("one"))
		h.held("results", 1, 0)
	})
}

// TestGone: what a client had got, or was about to get, when it went away.
func TestGone(t *testing.T) {
	type step func(h *house, p *peer, id string)
	tests := []struct {
		name    string
		do      step
		ready   int64 // afterwards
		attempt int   // of the next delivery
	}{
		{"waits in get", func(h *house, p *peer, id string) {
			p.call(id, "get")
			synctest.Wait()
			p.nc.Close()
			synctest.Wait()
			h.putOne()
		}, 1, 1},
		{"waits in get with a timeout", func(h *house, p *peer, id string) {
			p.call(id, "get", keywords{"timeout": 1000})
			synctest.Wait()
			p.nc.Close()
			synctest.Wait()
			h.putOne()
		}, 1, 1},
		{"reply in flight", func(h *house, p *peer, id string) {
			h.putOne()
			p.call(id, "get")
			synctest.Wait() // the reply waits to be read
			p.nc.Close()
		}, 1, 1},
		{"waited, reply in flight", func(h *house, p *peer, id string) {
			p.call(id, "get")
			synctest.Wait()
			h.putOne()
			synctest.Wait()
			p.nc.Close()
		}, 1, 1},
		{"works", func(h *house, p *peer, id string) {
			h.putOne()
			p.want("#RETURN", `"one"`, id, "get")
			p.nc.Close()
		}, 1, 2},
		{"released", func(h *house, p *peer, id string) {
			h.putOne()
			p.want("#RETURN", `"one"`, id, "get")
			h.short("decref", id)
			p.nc.Close()
		}, 0, 0},
		{"released long ago", func(h *house, p *peer, id string) {
			h.putOne()
			p.want("#RETURN", `"one"`, id, "get")
			h.short("decref", id)
			time.Sleep(time.Minute)
			p.nc.Close()
		}, 1, 2},
		{"two gets: the first is confirmed", func(h *house, p *peer, id string) {
			h.putOne()
			p.want("#RETURN", `"one"`, id, "get")
			h.putOne()
			p.want("#RETURN", `"one"`, id, "get")
			p.nc.Close()
		}, 1, 2},
		{"stops within a message", func(h *house, p *peer, id string) {
			h.putOne()
			p.want("#RETURN", `"one"`, id, "get")
			p.nc.Write([]byte{0, 0, 1, 0, 0x80, 4})
			p.nc.Close()
		}, 1, 2},
		{"stops in the length", func(h *house, p *peer, id string) {
			h.putOne()
			p.want("#RETURN", `"one"`, id, "get")
			p.nc.Write([]byte{0, 0})
			p.nc.Close()
		}, 1, 2},
		{"a message that is announced and does not come", func(h *house, p *peer, id string) {
			h.putOne()
			p.want("#RETURN", `"one"`, id, "get")
			p.nc.Write(binary.BigEndian.AppendUint32(nil, 1<<20))
			if _, err := p.read(); err != io.EOF { // after a while
				h.t.Errorf("read = %v; want the end", err)
			}
		}, 1, 2},
		{"its result waits for room", func(h *house, p *peer, id string) {
			h.most("results", 1)
			results := h.proxy("get_result_queue")
			p.want("#RETURN", "null", results, "put", "x")
			h.putOne()
			p.want("#RETURN", `"one"`, id, "get")
			p.call(results, "put", result("one"))
			synctest.Wait()
			p.nc.Close()
		}, 1, 2},
		{"the server ends", func(h *house, p *peer, id string) {
			h.putOne()
			p.want("#RETURN", `"one"`, id, "get")
			h.stop()
		}, 1, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			under(t, Options{}, func(h *house) {
				p, id := h.serving("get_task_queue")
				tt.do(h, p, id)
				h.held("tasks", tt.ready, 0)
				if tt.ready == 0 {
					return
				}
				l, err := h.broker.Reserve(t.Context(), glassq.Reserve{Queue: "tasks", Max: 1})
				if err != nil || len(l) != 1 || string(l[0].Body) != "one" || l[0].Attempt != tt.attempt {
					t.Errorf("next delivery = %+v, %v; want one at attempt %d", l, err, tt.attempt)
				}
			})
		})
	}
}

func (h *house) putOne() {
	h.t.Helper()
	if _, err := h.broker.Put(h.t.Context(), []glassq.Task{{Queue: "tasks", Type: glassq.TypeText,
		Body: []byte("one")}}); err != nil {
		h.t.Fatal(err)
	}
}

// TestParkedBodies: large values that wait for room are bounded, and do not keep out what makes
// room.
func TestParkedBodies(t *testing.T) {
	intake := door.NewIntake(32 << 20)
	under(t, Options{Frame: door.Frame{Intake: intake}}, func(h *house) {
		h.most("tasks", 1)
		h.putOne()
		large := string(make([]byte, 15<<20))
		var waiting []*peer
		for len(waiting) < 20 {
			p, id := h.serving("get_task_queue")
			p.call(id, "put", large)
			synctest.Wait()
			h.door.mu.Lock()
			parked := door.Share(0, 0).Parked - h.door.frame.Parked.Free()
			h.door.mu.Unlock()
			if parked < int64(len(waiting)+1)*15<<20 {
				p.wantReply("#ERROR", "RuntimeError")
				break
			}
			waiting = append(waiting, p)
		}
		if len(waiting) != int(door.Share(0, 0).Parked/(15<<20)) {
			h.t.Errorf("%d puts of 15 MiB wait; want %d", len(waiting), int(door.Share(0, 0).Parked/(15<<20)))
		}
		p, id := h.serving("get_result_queue") // whose room is free
		p.want("#RETURN", "null", id, "put", large)
		w, id := h.serving("get_task_queue")
		w.want("#RETURN", `"one"`, id, "get")
		w.want("#RETURN", "false", id, "empty") // confirmed: the first in line is in
		waiting[0].wantReply("#RETURN", "null")
		for _, p := range waiting {
			p.nc.Close()
		}
		synctest.Wait()
		h.door.mu.Lock()
		defer h.door.mu.Unlock()
		if n := door.Share(0, 0).Parked - h.door.frame.Parked.Free(); n != 0 {
			h.t.Errorf("%d bytes are parked when nobody waits", n)
		}
	})
}
