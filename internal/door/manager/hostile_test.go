package manager

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"io"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/door/manager/pickle"
)

// expand reads hex in which xx*n repeats a byte string.
func expand(t *testing.T, s string) []byte {
	t.Helper()
	var out []byte
	for part := range strings.FieldsSeq(s) {
		digits, times, repeated := strings.Cut(part, "*")
		n := 1
		if repeated {
			var err error
			if n, err = strconv.Atoi(times); err != nil {
				t.Fatal(err)
			}
		}
		b, err := hex.DecodeString(digits)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, bytes.Repeat(b, n)...)
	}
	return out
}

// still checks that a client's connection is served and the queue holds n items.
func (p *peer) still(id string, n string) {
	p.t.Helper()
	p.want("#RETURN", n, id, "qsize")
}

// TestHostileAtDoor: every hostile pickle, as a call and as a first request, gets a refusal, costs
// little, and the door serves on.
func TestHostileAtDoor(t *testing.T) {
	for _, row := range rows(t, "pickle/testdata/hostile.tsv") {
		t.Run(row[0], func(t *testing.T) {
			under(t, Options{}, func(h *house) {
				h.putOne()
				p, id := h.serving("get_task_queue")
				in := expand(t, row[1])
				ident := append([]byte{0x8c, byte(len(id))}, id...)
				in = bytes.Replace(in, []byte("\x8c\x06q-task"), ident, 1)
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				if err := p.send(in); err != nil {
					t.Fatal(err)
				}
				tooLong := len(in) > glassq.DefaultMaxBody+frameExtra
				kind, v := p.reply()
				good := row[2] == "plain" && row[0] == "LONG1 of zero bytes"
				if good != (kind == "#RETURN") || tooLong && text(v) != "ValueError" {
					h.t.Errorf("reply %s %s; the verdict is %s", kind, text(v), row[2])
				}
				runtime.ReadMemStats(&after)
				if used := after.TotalAlloc - before.TotalAlloc; used > 160<<20 {
					h.t.Errorf("allocated %d MiB for %d bytes", used>>20, len(in))
				}
				if good {
					p.still(id, "2")
					return
				}
				p.still(id, "1")

				first := h.connect()
				go func() { // the end of the connection ends the write, at the latest
					first.send(in)
				}()
				if b, err := first.read(); err == nil {
					if kind, v := reply(h.t, b); kind == "#RETURN" {
						h.t.Errorf("as the first request: %s %s", kind, text(v))
					}
				}
				if _, err := first.read(); err == nil {
					h.t.Error("as the first request: the connection goes on")
				}
				p.want("#RETURN", `"one"`, id, "get")
			})
		})
	}
}

// TestBadFrames: what is no message of a client.
func TestBadFrames(t *testing.T) {
	size := func(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }
	const limit = 4096 + frameExtra
	tests := []struct {
		name string
		send []byte
		then string // reply, or "end"
	}{
		{"length -2", size(0xfffffffe), "end"},
		{"length -2^31", size(1 << 31), "end"},
		{"2 GiB", size(1<<31 - 1), "end"},
		{"long form of 2^62", append(size(0xffffffff), 0x40, 0, 0, 0, 0, 0, 0, 0), "end"},
		{"long form of 2^63", append(size(0xffffffff), 0x80, 0, 0, 0, 0, 0, 0, 0), "end"},
		{"far over the limit, and does not come", size(discardTo*limit + 1), "end"},
		{"far over the limit", append(size(5*limit), make([]byte, 5*limit)...), "ValueError"},
		{"far over the limit, in the long form", append([]byte{0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0x60, 0, 0},
			make([]byte, 6<<20)...), "ValueError"},
		{"over the limit", append(size(limit+1), make([]byte, limit+1)...), "ValueError"},
		{"HTTP", []byte("POST / HTTP/1.1\r\nHost: x\r\n\r\n"), "end"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			limited(t, Options{}, 4096, func(h *house) {
				h.putOne()
				p, id := h.serving("get_task_queue")
				go p.nc.Write(tt.send) // ends with the connection, at the latest
				b, err := p.read()
				if tt.then == "end" {
					if err == nil {
						h.t.Errorf("reply %x; want the end", b)
					}
					p, id = h.serving("get_task_queue")
				} else if err != nil {
					h.t.Errorf("no reply: %v", err)
				} else if kind, v := reply(h.t, b); kind != "#ERROR" || text(v) != tt.then {
					h.t.Errorf("reply %s %s; want %s", kind, text(v), tt.then)
				}
				p.still(id, "1")
			})
		})
	}
}

// TestStrangers: who does not show the key is refused or cut, and takes nobody's place for long.
func TestStrangers(t *testing.T) {
	tests := []struct {
		name string
		say  func(p *peer) // after the challenge was read
		want string        // what the door says before it ends
	}{
		{"wrong key", func(p *peer) { p.send(mac(digests["sha256"], []byte("other"), []byte("x"))) }, wordFailure},
		{"wrong MD5", func(p *peer) { p.send(make([]byte, 16)) }, wordFailure},
		{"empty answer", func(p *peer) { p.send(nil) }, wordFailure},
		{"silence", func(*peer) {}, ""},
		{"a message of 257 bytes", func(p *peer) { p.send(make([]byte, 257)) }, ""},
		{"negative length", func(p *peer) { p.nc.Write([]byte{0xff, 0xff, 0xff, 0xfe}) }, ""},
		{"TLS", func(p *peer) { p.nc.Write([]byte{0x16, 3, 1, 2, 0, 1}) }, ""},
		{"HTTP", func(p *peer) { p.nc.Write([]byte("GET / HTTP/1.1\r\n\r\n")) }, ""},
		{"stops in the middle", func(p *peer) { p.nc.Write([]byte{0, 0, 0, 40, '{'}) }, ""},
		{"our own challenge back, before an answer", func(p *peer) {
			p.send([]byte(wordChallenge +
				string(newChallenge())))
		}, wordFailure},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			under(t, Options{}, func(h *house) {
				nc := h.dial()
				p := &peer{t: h.t, nc: nc, r: bufio.NewReader(nc)}
				if _, err := p.read(); err != nil {
					h.t.Fatal(err)
				}
				go tt.say(p) // ends with the connection, at the latest
				b, err := p.read()
				if string(b) != tt.want || (err == nil) != (tt.want != "") {
					h.t.Errorf("the door says %q, %v; want %q", b, err, tt.want)
				}
				if rest, err := io.ReadAll(p.r); len(rest) > 0 || err != nil {
					h.t.Errorf("then %q, %v; want the end", rest, err)
				}
				q, id := h.serving("get_task_queue")
				q.still(id, "0")
			})
		})
	}
}

// TestStalledMessages: messages that are announced and do not come take nothing, and end their
// connection after 10 s.
func TestStalledMessages(t *testing.T) {
	for _, n := range []uint32{300, 15000, 60000, 15 << 20, 40 << 20} {
		t.Run(strconv.Itoa(int(n)), func(t *testing.T) {
			under(t, Options{}, func(h *house) {
				var stalled []*peer
				for range 30 {
					p, _ := h.serving("get_task_queue")
					p.nc.Write(append(binary.BigEndian.AppendUint32(nil, n), 'x'))
					stalled = append(stalled, p)
				}
				synctest.Wait()
				if taken := h.door.frame.Intake.Taken(); taken != 0 {
					h.t.Errorf("%d bytes are taken by what was announced", taken)
				}
				p, id := h.serving("get_task_queue")
				p.want("#RETURN", "null", id, "put", string(make([]byte, 1<<20)))
				began := time.Now()
				for _, p := range stalled {
					if rest, err := io.ReadAll(p.r); len(rest) > 0 || err != nil || time.Since(began) != 10*time.Second {
						h.t.Fatalf("a message that does not come: %q, %v after %v; want the end after 10 s", rest, err, time.Since(began))
					}
				}
				p.still(id, "1")
			})
		})
	}
}

// TestUnknown: what a Python server would refuse is refused in the same way.
func TestUnknown(t *testing.T) {
	under(t, Options{Queues: map[string]string{"get_jobs": "tasks"}}, func(h *house) {
		for _, first := range []struct {
			method string
			args   []any
		}{
			{"create", []any{"get_other"}},
			{"create", []any{"get_task_queue", "argument"}},
			{"create", nil},
			{"create", []any{"get_queue", "bad name"}},
			{"shutdown", nil},
			{"serve_client", nil},
			{"__class__", nil},
		} {
			p := h.connect()
			if kind, v := p.ask(nil, first.method, first.args...); kind != "#TRACEBACK" {
				h.t.Errorf("%s%v = %s %s; want #TRACEBACK", first.method, first.args, kind, text(v))
			}
			if _, err := p.read(); err != io.EOF {
				h.t.Errorf("%s%v: then %v; want the end", first.method, first.args, err)
			}
		}
		h.proxy("get_jobs")
		h.proxy("get_any_queue")
		p, id := h.serving("get_task_queue")
		for _, call := range []struct {
			id     any
			method string
			args   []any
			kind   string
			want   string
		}{
			{"7f00", "qsize", nil, "#TRACEBACK", ""},
			{nil, "qsize", nil, "#TRACEBACK", ""},
			{id, "__init__", nil, "#TRACEBACK", ""},
			{id, "#GETVALUE", nil, "#UNSERIALIZABLE", ""},
			{id, "put", nil, "#ERROR", "TypeError"},
			{id, "put", []any{1, 2, 3, 4}, "#ERROR", "TypeError"},
			{id, "put", []any{1, keywords{"item": 2}}, "#ERROR", "TypeError"},
			{id, "put", []any{keywords{"thing": 2}}, "#ERROR", "TypeError"},
			{id, "qsize", []any{1}, "#ERROR", "TypeError"},
			{id, "get", []any{true, "soon"}, "#ERROR", "TypeError"},
			{id, "get", []any{true, -1}, "#ERROR", "ValueError"},
			{id, "get", []any{false, -1}, "#ERROR", "Empty"},
			{id, "put", []any{&pickle.Value{Kind: pickle.Reduce, Items: []*pickle.Value{
				{Kind: pickle.Global, Raw: []byte("os\nsystem")}, value([]any{"true"})}}}, "#ERROR", "TypeError"},
		} {
			kind, v := p.ask(call.id, call.method, call.args...)
			if kind != call.kind || call.want != "" && text(v) != call.want {
				h.t.Errorf("%v %s%v = %s %s; want %s %s", call.id, call.method, call.args, kind, text(v), call.kind, call.want)
			}
		}
		p.still(id, "0")
		old := "q-tasks~0123456789ab" // of an earlier run of the server
		p.want("#RETURN", "null", old, "put", "x")
		p.still(id, "1")
	})
}

// TestNamesWithoutQueue: calls on names of queues that there are not leave nothing in the server.
func TestNamesWithoutQueue(t *testing.T) {
	under(t, Options{}, func(h *house) {
		p, _ := h.serving("get_task_queue")
		for _, tt := range []struct {
			name, kind, want, method string
			args                     []any
		}{
			{"one more than was got", "#ERROR", "ValueError", "task_done", nil},
			{"nothing to wait for", "#RETURN", "null", "join", nil},
			{"nothing comes", "#ERROR", "Empty", "get", []any{true, 1}},
			{"the size", "#RETURN", "0", "qsize", nil},
		} {
			p.want(tt.kind, tt.want, "q-"+tt.method+"~0123456789ab", tt.method, tt.args...)
			h.door.mu.Lock()
			if n := len(h.door.counts); n != 0 {
				h.t.Errorf("%s, %s: %d counts are kept", tt.method, tt.name, n)
			}
			clear(h.door.counts)
			h.door.mu.Unlock()
		}
		for i := range maxCounts {
			h.door.counts[strconv.Itoa(i)] = &count{shuts: 1}
		}
		if kind, v := p.ask("q-one-more~0123456789ab", "shutdown"); kind != "#ERROR" || len(h.door.counts) != maxCounts {
			h.t.Errorf("one shutdown too many = %s %s; %d counts", kind, text(v), len(h.door.counts))
		}
		p.want("#RETURN", "null", "q-7~0123456789ab", "shutdown")
	})
}

// TestRunResult: the result of an item of a run goes to the run's results, which the program does
// not know.
func TestRunResult(t *testing.T) {
	under(t, Options{}, func(h *house) {
		if _, err := h.broker.Put(t.Context(), []glassq.Task{{Queue: "tasks", Run: "r1", Dense: true,
			ResultQueue: "results.r1",
			Type:        glassq.TypeText, Body: []byte("one")}}); err != nil {
			h.t.Fatal(err)
		}
		p, id := h.serving("get_task_queue")
		idR := h.proxy("get_result_queue")
		p.want("#RETURN", `"one"`, id, "get")
		p.want("#RETURN", "null", idR, "put", result("one"))
		h.held("results", 0, 0)
		h.held("results.r1", 1, 0)
		run, err := h.broker.Run(t.Context(), "r1")
		if err != nil || run.Books.OK != 1 {
			h.t.Errorf("run = %+v, %v; want ok 1", run, err)
		}
		p.want("#RETURN", "null", idR, "put", result("two")) // of nothing that was got
		h.held("results", 1, 0)
	})
}
