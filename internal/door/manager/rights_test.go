package manager

import (
	"bufio"
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/door"
	"github.com/glassq/glassq/internal/rights"
)

// withTokens makes a token of each scope on mine.*, which "py" before its name opens this door
// with.
func withTokens(t *testing.T) (path string, register *rights.Register, texts map[string]string) {
	t.Helper()
	path, texts = filepath.Join(t.TempDir(), "tokens"), map[string]string{}
	err := rights.Change(path, func(e *rights.Edit) error {
		for _, scope := range []string{"put", "work", "read", "admin", "http"} {
			k := rights.Token{Name: scope, May: []string{scope}, Queues: rights.Patterns{"mine.*"}, Created: time.Now(),
				Manager: scope != "http"}
			if scope == "http" {
				k.May = []string{"admin"}
			}
			text, err := e.New(k)
			if err != nil {
				return err
			}
			texts[scope] = text
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if register, err = rights.Open(path); err != nil {
		t.Fatal(err)
	}
	return path, register, texts
}

// TestScopes: every method of the table, with every scope, on a queue of one's own and on
// another's.
func TestScopes(t *testing.T) {
	_, register, texts := withTokens(t)
	access := door.NewAccess([]byte("secret")).WithTokens(register)
	args := map[string][]any{"put": {"x"}, "put_nowait": {"x"}, "get": {false}}
	functions := []string{"create", "number_of_objects", "get_methods", "debug_info", "dummy", "incref", "decref",
		"accept_connection", "shutdown()"}
	limited(t, Options{Frame: door.Frame{Access: access}}, 0, func(h *house) {
		n := 0
		for scope, key := range texts {
			if scope == "http" {
				p := &peer{t: h.t, nc: h.dial()}
				p.r = bufio.NewReader(p.nc)
				if err := p.shakeHands(key); err == nil {
					h.t.Error("a token without --manager opens this door")
				}
				continue
			}
			may, err := rights.ParseScopes([]string{scope})
			if err != nil {
				h.t.Fatal(err)
			}
			for verb := range rights.Rules {
				r := &rights.Rules[verb]
				for _, method := range r.Manager {
					for _, queue := range []string{"mine.q", "foreign.q"} {
						want := r.Needs == 0 || may&r.Needs != 0 && (r.Of == rights.OfEach || queue == "mine.q")
						if method == "join" && want {
							continue // it would wait
						}
						p := h.connectWith(key)
						var kind, said string
						if slices.Contains(functions, method) {
							k, v := p.ask(nil, strings.TrimSuffix(method, "()"), "get_"+queue+"_queue")
							kind, said = k, text(v)
						} else {
							id := h.proxy("get_" + queue + "_queue")
							p.want("#RETURN", "null", nil, "accept_connection", "MainProcess")
							k, v := p.ask(id, method, args[method]...)
							kind, said = k, text(v)
							if _, name := v.Class(); name != "" && len(v.Items) > 0 {
								said = string(v.Items[0].Raw)
							}
						}
						n++
						if forbidden := kind != "#RETURN" && (strings.Contains(said, "lacks the scope") || strings.HasSuffix(said, "RuntimeError")); forbidden == want {
							h.t.Errorf("%s: %s of %s = %s %s; it may: %v", scope, method, queue, kind, said, want)
						}
						p.nc.Close()
					}
				}
			}
		}
		if n < 150 {
			h.t.Errorf("%d calls; the table has more", n)
		}
	})
}

// TestRevoked: a connection that waits ends with its token, and what it has goes to others.
func TestRevoked(t *testing.T) {
	path, register, texts := withTokens(t)
	access := door.NewAccess([]byte("secret")).WithTokens(register)
	limited(t, Options{Frame: door.Frame{Access: access}}, 0, func(h *house) {
		if _, err := h.broker.Put(h.t.Context(), []glassq.Task{{Queue: "mine.q"}}); err != nil {
			h.t.Fatal(err)
		}
		holder, waiter := h.connectWith(texts["work"]), h.connectWith(texts["work"])
		id := h.proxy("get_mine.q_queue")
		for _, p := range []*peer{holder, waiter} {
			p.want("#RETURN", "null", nil, "accept_connection", "MainProcess")
		}
		if kind, _ := holder.ask(id, "get"); kind != "#RETURN" {
			h.t.Fatalf("get = %s", kind)
		}
		waiter.call(id, "get")
		h.held("mine.q", 0, 1)
		if err := rights.Change(path, func(e *rights.Edit) error { e.Revoke("work"); return nil }); err != nil {
			h.t.Fatal(err)
		}
		register.Look(slog.New(slog.DiscardHandler))
		synctest.Wait()
		for _, p := range []*peer{holder, waiter} {
			if _, err := p.read(); err != io.EOF {
				h.t.Errorf("a connection of a revoked token: %v; want its end", err)
			}
		}
		h.held("mine.q", 1, 0)
	})
}

// TestTokenRate: put waits for the rate of its token, as it does for room, and put_nowait raises
// Full.
func TestTokenRate(t *testing.T) {
	path, register, _ := withTokens(t)
	access := door.NewAccess([]byte("secret")).WithTokens(register)
	limited(t, Options{Frame: door.Frame{Access: access}}, 0, func(h *house) {
		key := ""
		if err := rights.Change(path, func(e *rights.Edit) (err error) {
			key, err = e.New(rights.Token{Name: "slow", May: []string{"put", "read"}, Queues: rights.Patterns{"mine.*"},
				Created: time.Now(), Manager: true, Rates: rights.Rates{Puts: 1}})
			return err
		}); err != nil {
			h.t.Fatal(err)
		}
		register.Look(slog.New(slog.DiscardHandler))
		p := h.connectWith(key)
		id := h.proxy("get_mine.q_queue")
		p.want("#RETURN", "null", nil, "accept_connection", "MainProcess")
		if kind, _ := p.ask(id, "put_nowait", "a"); kind != "#RETURN" {
			h.t.Fatalf("the first put = %s", kind)
		}
		kind, v := p.ask(id, "put_nowait", "b")
		if module, name := v.Class(); kind != "#ERROR" || name != "Full" {
			h.t.Errorf("put_nowait beyond the rate = %s %s.%s, want Full", kind, module, name)
		}
		began := time.Now()
		if kind, _ := p.ask(id, "put", "c"); kind != "#RETURN" || time.Since(began) != time.Second {
			h.t.Errorf("put beyond the rate = %s after %v, want that it waits a second", kind, time.Since(began))
		}
		if kind, v := p.ask(id, "put", "d", true, 0.5); kind != "#ERROR" {
			h.t.Errorf("put with a short timeout = %s %s", kind, text(v))
		}
		h.held("mine.q", 2, 0)
	})
}
