package memcache

import (
	"context"
	"net"
	"strings"
	"testing"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/broker"
	"github.com/glassq/glassq/internal/door"
)

// A refuser is a store that puts nothing, and counts the times it was asked.
type refuser struct {
	glassq.Store
	code glassq.Code
	puts int
}

func (r *refuser) Put(_ context.Context, tasks []glassq.Task) ([]glassq.Receipt, error) {
	r.puts++
	return nil, glassq.Errorf(r.code, "no")
}

// TestPutsAgain: a batch is repeated in halves only when it was refused for what is in it, by a
// connection and by a loop alike.
func TestPutsAgain(t *testing.T) {
	for _, tt := range []struct {
		code   glassq.Code
		puts   int // of four tasks
		answer string
	}{
		{glassq.CodeQueueFull, 7, notStored},
		{glassq.CodeBadRequest, 7, "CLIENT_ERROR no\r\n"},
		{glassq.CodeStorageFull, 7, "SERVER_ERROR no\r\n"},
		{glassq.CodeUnknown, 1, "SERVER_ERROR no\r\n"},
		{glassq.CodeUnavailable, 1, "SERVER_ERROR no\r\n"},
		{glassq.CodeStorage, 1, "SERVER_ERROR no\r\n"},
		{glassq.CodeClosed, 1, "SERVER_ERROR no\r\n"},
		{glassq.CodeInternal, 1, "SERVER_ERROR no\r\n"},
	} {
		t.Run(string(tt.code), func(t *testing.T) {
			said := func(conns ...*conn) (text string) {
				for _, c := range conns {
					text += string(c.desk.out)
				}
				return text
			}
			open := func(r *refuser, commands int) *conn {
				ours, theirs := net.Pipe()
				t.Cleanup(func() { ours.Close(); theirs.Close() })
				c := newConn(t.Context(), New(broker.New(r, glassq.Limits{}), door.Frame{}), &door.Conn{Conn: theirs})
				c.takeBuffers()
				c.w = copy(c.in, strings.Repeat("set q 0 0 1\r\nx\r\n", commands))
				for range commands {
					if done, err := c.step(); !done || err != nil {
						t.Fatal(done, err)
					}
				}
				return c
			}
			one := &refuser{code: tt.code}
			c := open(one, 4)
			c.settlePending()
			if want := strings.Repeat(tt.answer, 4); one.puts != tt.puts || said(c) != want {
				t.Errorf("a connection put %d times and answered %q; want %d and %q", one.puts, said(c), tt.puts, want)
			}
			many := &refuser{code: tt.code}
			conns := []*conn{open(many, 1), open(many, 1), open(many, 1), open(many, 1)}
			(&loop{s: conns[0].s}).put(conns)
			if want := strings.Repeat(tt.answer, 4); many.puts != tt.puts || said(conns...) != want {
				t.Errorf("a loop put %d times and answered %q; want %d and %q", many.puts, said(conns...), tt.puts, want)
			}
		})
	}
}

// TestLineIsParsedOnce: a command whose line lies elsewhere when the rest of it has come is done as
// it was read.
func TestLineIsParsedOnce(t *testing.T) {
	for _, line := range []string{"set q/id=a/run=r 1 2 5", "cas q/prio=3 0 0 5 77 noreply", "ms q 5",
		"set q 0 0 5   noreply "} {
		var want, got command
		parseCommand([]byte(line), &want)
		in := append([]byte("before it"), line...)
		parseCommand(in[len("before it"):], &got)
		to := append([]byte(nil), line...)
		got.moved(to)
		clear(in)
		if string(got.key) != string(want.key) || string(got.rest) != string(want.rest) {
			t.Errorf("%q moved: key %q, rest %q; want %q, %q", line, got.key, got.rest, want.key, want.rest)
		}
	}
}
