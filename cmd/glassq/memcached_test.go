package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/client"
	"github.com/glassq/glassq/internal/envelope"
)

// TestMemcachedDoor: what is put through either door comes out of the other as what it was, a
// result put with cas is in the books, and kill -9 loses nothing that was answered.
func TestMemcachedDoor(t *testing.T) {
	data, addr := t.TempDir(), freeAddress(t)
	serve := []string{"serve", "--data", data, "--http", "127.0.0.1:0", "--memcached", addr}
	s := start(t, nil, serve...)
	c, err := client.New("http://"+s.addr(), client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ask := func(send string, want string) {
		t.Helper()
		nc, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		fmt.Fprint(nc, send)
		got := make([]byte, len(want))
		if n, err := io.ReadFull(bufio.NewReader(nc), got); err != nil || string(got) != want {
			t.Fatalf("%q = %q, %v; want %q", send, got[:n], err, want)
		}
	}
	ask("set tasks/run=m 5 0 4\r\ntext\r\nset tasks/run=m 0 0 9\r\n{\"a\":[1]}\r\nset tasks/run=m 0 0 2\r\n\xff\xfe\r\nset tasks/run=m/type=json 0 0 3\r\n123\r\n",
		"STORED\r\nSTORED\r\nSTORED\r\nSTORED\r\n")
	leases, err := c.Reserve(t.Context(), glassq.Reserve{Queue: "tasks", Max: 4})
	if err != nil || len(leases) != 4 {
		t.Fatalf("Reserve over HTTP = %d leases, %v; want 4", len(leases), err)
	}
	var forms []string
	for i := range leases {
		l := leases[i]
		l.Number = 0
		text := string(envelope.AppendLease(nil, &l))
		for _, f := range []string{`"body":"text"`, `"body":{"a":[1]}`, `"b64":"//4="`, `"body":123`} {
			if strings.Contains(text, f) {
				forms = append(forms, f)
			}
		}
	}
	if len(forms) != 4 {
		t.Errorf("of 4 bodies, these came out as what they are: %q", forms)
	}
	// Their results come through the memcached door: one ok, one failed; two are acked without one.
	ask(fmt.Sprintf("cas results 0 0 22 %d\r\n{\"i\":\"\",\"o\":{\"ok\":1}} \r\nset results/ack=%d 0 0 21\r\n{\"i\":\"\",\"o\":{\"ok\":0}}\r\ndelete tasks/%d\r\ndelete tasks/%d\r\n",
		leases[0].Number, leases[1].Number, leases[2].Number, leases[3].Number), "STORED\r\nSTORED\r\nDELETED\r\nDELETED\r\n")
	if r, err := c.Run(t.Context(), "m"); err != nil || r.Books != (glassq.Books{Put: 4, OK: 3, Failed: 1}) {
		t.Errorf("books of the run = %+v, %v; want put 4, ok 3, failed 1", r.Books, err)
	}
	if _, err := c.Put(t.Context(), []glassq.Task{{Queue: "q", Type: glassq.TypeJSON,
		Body: []byte(`{"x":1}`)}}); err != nil {
		t.Fatal(err)
	}
	ask("get q\r\nset q 0 0 4\r\nkept\r\ngets q/open\r\n",
		fmt.Sprintf("VALUE q 0 7\r\n{\"x\":1}\r\nEND\r\nSTORED\r\nVALUE q/open 0 4 %d\r\nkept\r\nEND\r\n",
			leases[3].Number+1))
	ask("set p 0 0 5\r\nkept2\r\n", "STORED\r\n")

	s.kill()
	s = start(t, nil, serve...)
	s.addr()
	ask("get p q\r\nget none\r\n", "VALUE p 0 5\r\nkept2\r\nEND\r\nEND\r\n")
	ask(fmt.Sprintf("delete q/%d\r\ndelete tasks/%d\r\n", leases[3].Number+1, leases[2].Number), "DELETED\r\nDELETED\r\n")
}

// TestMemcachedDrain: a server that is asked to stop answers what has arrived, ends waits, and
// leaves.
func TestMemcachedDrain(t *testing.T) {
	addr := freeAddress(t)
	s := start(t, nil, "serve", "--store", "mem:", "--http", "off", "--memcached", addr)
	s.addr()
	nc, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	fmt.Fprint(nc, "set q 0 0 1\r\na\r\nget q/open\r\nget q/t=60000/peek\r\n")
	want := "STORED\r\nVALUE q/open 0 1\r\na\r\nEND\r\n"
	in := bufio.NewReader(nc)
	got := make([]byte, len(want))
	if _, err := io.ReadFull(in, got); err != nil || string(got) != want {
		t.Fatalf("got %q, %v; want %q", got, err, want)
	}
	if err := s.cmd.Process.Signal(os.Interrupt); err != nil {
		return // this system cannot ask a process to stop
	}
	if rest, err := io.ReadAll(in); err != nil || string(rest) != "END\r\n" {
		t.Errorf("the wait ended with %q, %v; want END", rest, err)
	}
	if code := s.wait(); code != 0 && code != 7 {
		t.Errorf("exit code %d; want 0 or 7", code)
	}
}
