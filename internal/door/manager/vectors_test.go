package manager

import (
	"bufio"
	"bytes"
	"errors"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/door"
	"github.com/glassq/glassq/internal/door/manager/pickle"
)

// rows are the lines of a file of vectors, without its comment.
func rows(t *testing.T, name string) [][]string {
	t.Helper()
	file, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var out [][]string
	for line := range strings.Lines(string(file)) {
		if line[0] != '#' {
			out = append(out, strings.Split(strings.TrimRight(line, "\n"), "\t"))
		}
	}
	return out
}

// TestFramingVectors: messages in the short and the long form, and lengths that end a connection.
func TestFramingVectors(t *testing.T) {
	for _, row := range rows(t, "testdata/framing.tsv") {
		limit := int64(glassq.DefaultMaxBody)
		if strings.Contains(row[0], "before authentication") {
			limit = maxHandshake
		}
		got, err := readFrame(bufio.NewReader(bytes.NewReader(unhex(t, row[1]))), nil, limit)
		switch {
		case row[2] == "close":
			if !errors.Is(err, errFrame) && !errors.Is(err, errOversize) || cap(got) > readStep {
				t.Errorf("%s: %d bytes, %v; want a refusal", row[0], cap(got), err)
			}
		case err != nil || !bytes.Equal(got, unhex(t, row[2])):
			t.Errorf("%s: %x, %v; want %s", row[0], got, err, row[2])
		}
	}
}

// TestReplyVectors: replies without a user's value are byte for byte those that every Python was
// seen to read; the forms of the other dialect, which this door never writes, decode to the same.
func TestReplyVectors(t *testing.T) {
	names := func(b []byte) []byte {
		return append(appendList(pickle.AppendText(b, "q-task~0a1b2c3d4e5f", pickle.Python2), []string{"empty", "full", "get",
			"get_nowait", "join", "put", "put_nowait", "qsize", "task_done"}), 0x86)
	}
	ours := map[string]func(*conn) error{
		"return None":          func(c *conn) error { return c.reply(appendNone) },
		"return True":          func(c *conn) error { return c.reply(appendBool(true)) },
		"return False":         func(c *conn) error { return c.reply(appendBool(false)) },
		"return 3":             func(c *conn) error { return c.reply(func(b []byte) []byte { return appendInt(b, 3) }) },
		"create":               func(c *conn) error { return c.reply(names) },
		"error Empty":          func(c *conn) error { return c.raise(&exception{"Empty", ""}) },
		"error Full":           func(c *conn) error { return c.raise(&exception{"Full", ""}) },
		"error ValueError":     func(c *conn) error { return c.raise(&exception{"ValueError", "timeout is negative"}) },
		"error TypeError":      func(c *conn) error { return c.raise(&exception{"TypeError", "unknown keyword argument"}) },
		"error AttributeError": func(c *conn) error { return c.raise(&exception{"AttributeError", "no such method"}) },
		"traceback":            func(c *conn) error { return c.traceback("unknown object") },
	}
	n := 0
	for _, row := range rows(t, "testdata/replies.tsv") {
		say := ours[row[1]]
		if say == nil {
			t.Errorf("no such reply here: %s", row[1])
			continue
		}
		n++
		synctest.Test(t, func(t *testing.T) {
			h := &house{t: t, ln: &pipes{calls: make(chan net.Conn, 1)}}
			nc := h.dial()
			c := newConn(&Server{}, &door.Conn{Conn: <-h.ln.calls})
			go func() { say(c); c.nc.Conn.Close() }()
			got, err := readFrame(bufio.NewReader(nc), nil, 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			want := unhex(t, row[2])
			if row[0] == "2" {
				if !bytes.Equal(got, want) {
					t.Errorf("%s: %x; want %x", row[1], got, want)
				}
				return
			}
			kind, v := reply(t, got)
			wantKind, w := reply(t, want)
			if kind != wantKind || text(v) != text(w) {
				t.Errorf("%s: %s %s; want %s %s", row[1], kind, text(v), wantKind, text(w))
			}
		})
	}
	if n != 2*len(ours) {
		t.Errorf("%d vectors; want %d", n, 2*len(ours))
	}
}

// TestExposedVectors: a proxy of ours can do what one of any queue of Python's own can, but stop
// it.
func TestExposedVectors(t *testing.T) {
	for _, row := range rows(t, "testdata/exposed.tsv") {
		if !strings.Contains(strings.ToLower(row[1]), "queue") {
			continue
		}
		for _, name := range strings.Fields(row[2]) {
			if name != "shutdown" && !slices.Contains(exposed, name) {
				t.Errorf("%s of Python %s has %s", row[1], row[0], name)
			}
		}
	}
}

// A replay sends what a program sent to Python's own manager, with idents of ours.
type replay struct {
	h      *house
	t      *testing.T
	idents map[string]string // theirs to ours
}

// ours replaces theirs idents in a request, and tells its method.
func (r *replay) ours(frame []byte) ([]byte, string) {
	r.t.Helper()
	var d pickle.Decoder
	v, proto, err := d.Decode(frame)
	if err != nil || len(v.Items) != 4 {
		r.t.Fatalf("request %x: %v", frame, err)
	}
	for _, x := range append([]*pickle.Value{v.Items[0]}, v.Items[2].Items...) {
		if id, ok := r.idents[string(x.Raw)]; ok && isText(x) {
			x.Raw = []byte(id)
		}
	}
	method := string(v.Items[1].Raw)
	if _, err := pickle.Check(v, pickle.Limits{}); err != nil {
		r.t.Fatal(err)
	}
	b, err := pickle.Dump(v, proto <= 2)
	if err != nil {
		r.t.Fatal(err)
	}
	return b, method
}

func (r *replay) method(frame []byte) string {
	_, method := r.ours(frame)
	return method
}

// ask sends a request of theirs and compares the reply.
func (r *replay) ask(p *peer, request, theirs []byte) {
	r.t.Helper()
	b, method := r.ours(request)
	if err := p.send(b); err != nil {
		r.t.Fatal(err)
	}
	kind, v := p.reply()
	wantKind, w := reply(r.t, theirs)
	switch {
	case kind != wantKind:
		r.t.Errorf("%s: %s %s; theirs is %s %s", method, kind, text(v), wantKind, text(w))
	case method == "create":
		r.idents[string(w.Items[0].Raw)] = string(v.Items[0].Raw)
	case method == "get_methods", method == "number_of_objects":
	case text(v) != text(w):
		r.t.Errorf("%s: %s; theirs is %s", method, text(v), text(w))
	}
}

// TestSessionVectors: whole programs of five Pythons, and threads and forks, as they were captured
// with Python's own manager, get the same answers from this door.
func TestSessionVectors(t *testing.T) {
	type frame struct {
		fromClient bool
		b          []byte
	}
	type connection struct {
		frames []frame // after the handshake
	}
	sessions := map[string][]*connection{}
	var order []string
	at := ""
	for _, row := range rows(t, "testdata/sessions.tsv") {
		name := row[0]
		if !slices.Contains(order, name) {
			order = append(order, name)
			at = ""
		}
		if row[1] != at {
			at = row[1]
			sessions[name] = append(sessions[name], &connection{})
		}
		c := sessions[name][len(sessions[name])-1]
		b := unhex(t, row[3])
		if _, _, err := new(pickle.Decoder).Decode(b); err != nil {
			continue // of the handshake
		}
		c.frames = append(c.frames, frame{row[2] == "C", b})
	}
	if len(order) < 7 {
		t.Fatalf("%d sessions; want 7", len(order))
	}
	for _, name := range order {
		t.Run(name, func(t *testing.T) {
			under(t, Options{}, func(h *house) {
				r := &replay{h: h, t: h.t, idents: map[string]string{}}
				n := 0
				for _, c := range inTurn(sessions[name], func(c *connection) bool { return r.method(c.frames[0].b) == "accept_connection" }) {
					p := h.connect()
					for i := 0; i < len(c.frames); i++ {
						if !c.frames[i].fromClient || i+1 >= len(c.frames) || c.frames[i+1].fromClient {
							t.Fatalf("frame %d is no request with its reply", i)
						}
						r.ask(p, c.frames[i].b, c.frames[i+1].b)
						i++
						n++
					}
				}
				if n < 10 {
					t.Errorf("%d requests; want more", n)
				}
			})
		})
	}
}

// inTurn puts connections that were open at the same time in an order in which they can be played
// one after the other: proxies are made first, then the calls are made, the main thread's last,
// then proxies go.
func inTurn[C any](all []C, serving func(C) bool) []C {
	var before, calls, after []C
	for i, c := range all {
		switch {
		case serving(c):
			calls = append([]C{c}, calls...)
		case i < len(all)-2:
			before = append(before, c)
		default: // the last two release
			after = append(after, c)
		}
	}
	return append(append(before, calls...), after...)
}

// TestPairVectors: calls of a bounded queue, as Python's own answer them.
func TestPairVectors(t *testing.T) {
	for _, row := range rows(t, "testdata/pairs.tsv") {
		under(t, Options{}, func(h *house) {
			var d pickle.Decoder
			v, _, err := d.Decode(unhex(t, row[2]))
			if err != nil {
				t.Fatal(err)
			}
			request := string(v.Items[1].Raw)
			if request == "get" && strings.HasPrefix(row[1], "multiprocessing") {
				return // a negative timeout: ours is the rule of queue.Queue
			}
			h.most("tasks", 2)
			p, id := h.serving("get_task_queue")
			r := &replay{h: h, t: h.t, idents: map[string]string{}}
			if v.Items[0].Kind == pickle.None {
				p = h.connect()
			} else {
				r.idents[string(v.Items[0].Raw)] = id
			}
			h.putOne()
			h.putOne()
			r.ask(p, unhex(t, row[2]), unhex(t, row[3]))
		})
	}
}
