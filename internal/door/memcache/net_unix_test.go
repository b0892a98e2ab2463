//go:build unix

package memcache

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"

	"github.com/glassq/glassq"
)

// awaitInput waits until nc has something to read, and leaves it there.
func awaitInput(t *testing.T, nc *net.TCPConn) {
	t.Helper()
	raw, err := nc.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var peekErr error
	err = raw.Read(func(fd uintptr) bool {
		_, _, peekErr = syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK)
		return peekErr != syscall.EAGAIN
	})
	if err != nil || peekErr != nil {
		t.Fatalf("wait for input: %v, %v", err, peekErr)
	}
}

// untouched wants one ready task in q that was never handed out to anybody who kept it.
func (r *netRig) untouched(what string) {
	r.t.Helper()
	r.stat("q/ready", equals(1))
	tasks, _, err := r.store.Peek(r.t.Context(), "q", glassq.Ready, 0, 10)
	if err != nil || len(tasks) != 1 || tasks[0].Attempt != 0 {
		r.t.Fatalf("%s: peek = %+v, %v; want one task with no attempt counted", what, tasks, err)
	}
}

// TestVanish: a client that goes away between its reserve and the reply leaves the task where it
// was, with no attempt counted.
func TestVanish(t *testing.T) {
	r := openPort(t, setup{})
	r.ask("set q 0 0 1\r\na\r\n", stored)
	for i := range 50 {
		nc := r.dial()
		io.WriteString(nc, "gets q/open\r\n")
		nc.Close()
		r.stat("total_connections", func(n int64) bool { return n > int64(i) })
		r.stat("curr_connections", equals(1))
		r.untouched("closed at once")
	}
	for range 10 {
		nc := r.dial()
		nc.SetLinger(0)
		io.WriteString(nc, "gets q/open\r\nget q/open\r\n")
		nc.Close()
		r.stat("curr_connections", equals(1))
		r.untouched("reset at once")
	}
	for range 10 { // kill -9 of a worker whose reply has come and was not read
		nc := r.dial()
		io.WriteString(nc, "gets q/open\r\n")
		awaitInput(t, nc)
		nc.Close()
		r.stat("curr_connections", equals(1))
		r.untouched("closed with the reply unread")
	}
	r.ask("get q\r\n", "VALUE q 0 1\r\na\r\nEND\r\n")

	// One that waits takes nothing that comes after it has gone.
	for _, wait := range []string{"get p/t=60000\r\n", "gets p/open/t=60000\r\n", "get p/open/t=60000\r\n"} {
		nc := r.dial()
		io.WriteString(nc, wait)
		r.stat("curr_connections", equals(2))
		nc.Close()
		r.stat("curr_connections", equals(1))
		r.ask("set p 0 0 1\r\nb\r\nget p\r\n", "STORED\r\nVALUE p 0 1\r\nb\r\nEND\r\n")
	}

	// One that has read its reply keeps the lease, whatever becomes of its connection.
	nc := r.dial()
	expect(t, nc, "set k 0 0 1\r\nc\r\ngets k/open\r\n", "STORED\r\n")
	reply := bufio.NewReader(nc)
	line, err := reply.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(reply, make([]byte, len("c\r\nEND\r\n"))); err != nil {
		t.Fatal(err)
	}
	nc.Close()
	r.stat("curr_connections", equals(1))
	lease := strings.Fields(line)[4]
	r.ask("get k\r\ndelete k/"+lease+"\r\n", "END\r\nDELETED\r\n")
}

// TestVanishInBody: a client that goes away in the middle of a large body has taken nothing, and
// neither has one that waits for room.
func TestVanishInBody(t *testing.T) {
	const size = 12 << 20
	r := openPortWith(t, setup{}, size+size/2)
	r.ask(fmt.Sprintf("set q 0 0 %d\r\n%s\r\nset big 0 0 %d\r\n%s\r\n", size, strings.Repeat("x", size), size,
		strings.Repeat("y", size)), stored+stored)
	first := r.dial()
	io.WriteString(first, "gets q/open\r\n")
	if _, err := io.ReadFull(first, make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	parked(t, "memcache.(*conn).send", 1)
	second := r.dial()
	io.WriteString(second, "gets big/open\r\n")
	parked(t, "door.(*Answer).Take", 1)
	second.Close()
	first.Close()
	r.stat("curr_connections", equals(1))
	r.stat("q/ready", equals(1))
	r.stat("big/ready", equals(1))
	for _, queue := range []string{"q", "big"} {
		tasks, _, err := r.store.Peek(t.Context(), queue, glassq.Ready, 0, 10)
		if err != nil || len(tasks) != 1 || tasks[0].Attempt != 0 {
			t.Errorf("peek %s: %d tasks, %v; want one with no attempt counted", queue, len(tasks), err)
		}
	}
}

// TestTakenWhole: a plain get of a large task has it gone when it has left, and ready again, with
// no attempt counted, when its client went away before.
func TestTakenWhole(t *testing.T) {
	const size = 12 << 20
	r := openPort(t, setup{})
	body := strings.Repeat("x", size)
	r.ask(fmt.Sprintf("set q 0 0 %d\r\n%s\r\n", size, body), stored)
	nc := r.dial()
	io.WriteString(nc, "get q\r\n")
	if _, err := io.ReadFull(nc, make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	nc.Close()
	r.stat("curr_connections", equals(1))
	r.stat("q/ready", equals(1))
	r.ask("get q\r\n", fmt.Sprintf("VALUE q 0 %d\r\n%s\r\nEND\r\n", size, body))
	r.ask("get q\r\n", "END\r\n")
	r.stat("q/leased", equals(0))
	q, err := r.store.Queues(t.Context(), "q")
	if err != nil || q[0].Books.OK != 1 || q[0].Pending != 0 {
		t.Errorf("the queue has %+v, %v; want one ok", q, err)
	}
}
