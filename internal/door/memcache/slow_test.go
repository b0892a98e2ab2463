package memcache

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/glassq/glassq"
)

// parked waits until n goroutines are in calls whose names contain what.
func parked(t *testing.T, what string, n int) {
	t.Helper()
	stacks := make([]byte, 4<<20)
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); {
		all := stacks[:runtime.Stack(stacks, true)]
		found := 0
		for g := range bytes.SplitSeq(all, []byte("\n\n")) {
			if bytes.Contains(g, []byte(what)) {
				found++
			}
		}
		if found >= n {
			return
		}
		runtime.Gosched()
	}
	t.Fatalf("there never are %d goroutines in %s:\n%s", n, what, stacks[:runtime.Stack(stacks, true)])
}

// heap is how many bytes are in use.
func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestSlowReaders: clients that ask for megabytes and read nothing hold no more than the room for
// answers, and are cut while others wait for it; small answers go on; and who reads gets
// everything.
func TestSlowReaders(t *testing.T) {
	const (
		readers = 10
		each    = 3       // bodies that each asks for
		size    = 6 << 20 // larger than what the sockets hold
		fit     = 3
		room    = fit * (size + 1<<10) / 7 * 8
	)
	r := openPortWith(t, setup{}, room)
	body := strings.Repeat("0123456789abcdef", size/16)
	r.ask(fmt.Sprintf("set big 0 0 %d\r\n%s\r\n", size, body), stored)
	before := heap()
	var slow []net.Conn
	for range readers {
		nc := r.dial()
		nc.SetReadBuffer(64 << 10)
		io.WriteString(nc, strings.Repeat("get big/peek\r\n", each))
		slow = append(slow, nc)
	}
	parked(t, "memcache.(*conn).send", fit)
	if grown := heap() - before; grown > room+room/2 {
		t.Errorf("%d slow readers hold %d bytes; want no more than about %d", readers, grown, room)
	}
	nc := r.dial()
	for i := range 100 {
		expect(t, nc, "set q 0 0 1\r\na\r\ngets q/open\r\n",
			fmt.Sprintf("STORED\r\nVALUE q/open 0 1 %d\r\na\r\nEND\r\n", i+1))
		expect(t, nc, fmt.Sprintf("delete q/%d\r\nset q 0 0 1\r\nb\r\nget q/t=1000\r\n", i+1),
			"DELETED\r\nSTORED\r\nVALUE q/t=1000 0 1\r\nb\r\nEND\r\n")
	}
	nc.Close()
	r.stat("curr_connections", equals(fit+1))
	if grown := heap() - before; grown > room+room/2 {
		t.Errorf("%d slow readers hold %d bytes; want no more than about %d", fit, grown, room)
	}
	done := make(chan error, readers)
	for _, nc := range slow {
		go func() { done <- readBodies(nc, "big/peek", body, each) }()
	}
	whole := 0
	for range slow {
		if err := <-done; err == nil {
			whole++
		}
	}
	if whole != fit {
		t.Errorf("%d of %d readers got everything when they read after all; want %d, for the others were cut", whole, readers, fit)
	}
}

// readBodies reads n answers with the same body.
func readBodies(nc net.Conn, key, body string, n int) error {
	in := bufio.NewReader(nc)
	want := fmt.Sprintf("VALUE %s 0 %d\r\n%s\r\nEND\r\n", key, len(body), body)
	got := make([]byte, len(want))
	for i := range n {
		if k, err := io.ReadFull(in, got); err != nil || string(got) != want {
			return fmt.Errorf("body %d: %d bytes, %v; want %d, as they were put", i, k, err, len(want))
		}
	}
	return nil
}

// TestStalls: a client that takes nothing of its answer for a minute is cut, and so is one whose
// body does not get on, though a byte comes every now and then.
func TestStalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, setup{})
		defer r.stop()
		size := 2 * largeIn
		body := bytes.Repeat([]byte("x"), size)
		if _, err := r.store.Put(t.Context(), []glassq.Task{{Queue: "q", Body: body}}); err != nil {
			t.Fatal(err)
		}
		deaf := r.ln.dial()
		defer deaf.Close()
		io.WriteString(deaf, "gets q/open/lease=300000\r\n")
		mute := r.ln.dial()
		defer mute.Close()
		fmt.Fprintf(mute, "set q 0 0 %d\r\n", size)
		sent := 0
		for mute.SetWriteDeadline(time.Now().Add(time.Hour)) == nil {
			if _, err := mute.Write([]byte("x")); err != nil {
				break
			}
			sent++
			time.Sleep(30 * time.Second)
		}
		if sent > 5 {
			t.Errorf("a body that comes a byte every 30 s was waited for %d times", sent)
		}
		synctest.Wait()
		if n := r.server.count.current.Load(); n != 0 {
			t.Errorf("%d connections are left", n)
		}
		tasks, _, err := r.store.Peek(t.Context(), "q", glassq.Ready, 0, 10)
		if err != nil || len(tasks) != 1 || tasks[0].Attempt != 0 {
			t.Errorf("peek = %d tasks, %v; want the one that was not read, with no attempt counted", len(tasks), err)
		}
	})
}

// TestSlowLines: a line that comes a byte every now and then has a minute in all, and so has a
// login.
func TestSlowLines(t *testing.T) {
	for _, tt := range []struct {
		name, line string
		keys       [][]byte
	}{
		{"a line", "x", nil},
		{"lines before a login", "get q\r\n", [][]byte{[]byte("secret")}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, setup{Keys: tt.keys})
				defer r.stop()
				nc := r.ln.dial()
				defer nc.Close()
				go io.Copy(io.Discard, nc) // ends with the connection
				began := time.Now()
				for time.Since(began) < time.Hour {
					if _, err := io.WriteString(nc, tt.line); err != nil {
						break
					}
					time.Sleep(5 * time.Second)
				}
				if took := time.Since(began); took < stallTimeout || took > stallTimeout+10*time.Second {
					t.Errorf("it was cut after %v; want %v", took, stallTimeout)
				}
			})
		})
	}
}

// TestOthersAreNamed: the log says once what came that is not memcached.
func TestOthersAreNamed(t *testing.T) {
	for speaks, text := range map[string]string{"HTTP": "GET / HTTP/1.1\r\n", "TLS": "\x16\x03\x01\x00"} {
		synctest.Test(t, func(t *testing.T) {
			var log bytes.Buffer
			r := newRig(t, setup{Log: slog.New(slog.NewTextHandler(&log, nil))})
			for range 3 {
				nc := r.ln.dial()
				io.WriteString(nc, text)
				io.ReadAll(nc)
				nc.Close()
			}
			r.stop()
			if n := strings.Count(log.String(), "it speaks "+speaks); n != 1 {
				t.Errorf("%s: %d lines; want one:\n%s", speaks, n, &log)
			}
		})
	}
}
