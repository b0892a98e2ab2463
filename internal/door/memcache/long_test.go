package memcache

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
)

// TestLongLines: a get of 200 queues is one line, however it arrives, and what comes behind it is
// read as ever.
func TestLongLines(t *testing.T) {
	var puts []string
	var want strings.Builder
	get := []string{"get"}
	for i := range 200 {
		queue := fmt.Sprintf("%s-%d", strings.Repeat("q", 150), i)
		puts = append(puts, fmt.Sprintf("set %s 0 0 1\r\na\r\n", queue))
		fmt.Fprintf(&want, "VALUE %s 0 1\r\na\r\n", queue)
		get = append(get, queue)
	}
	line := strings.Join(get, " ") + "\r\n"
	all := line + "set x 0 0 1\r\nb\r\nget x\r\n"
	want.WriteString(endOf + stored + "VALUE x 0 1\r\nb\r\n" + endOf)
	for _, size := range []int{1, 1000, 4096, 20_000, len(line), len(all)} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, setup{})
			defer r.stop()
			nc := r.ln.dial()
			defer nc.Close()
			for _, put := range puts {
				expect(t, nc, put, stored)
			}
			go func() { // ends with the connection
				for rest := all; rest != ""; {
					n := min(size, len(rest))
					if _, err := io.WriteString(nc, rest[:n]); err != nil {
						return
					}
					rest = rest[n:]
				}
			}()
			got := make([]byte, want.Len())
			if n, err := io.ReadFull(nc, got); err != nil || string(got) != want.String() {
				t.Errorf("in pieces of %d: %.200q, %v; want %.200q", size, got[:n], err, want.String())
			}
			synctest.Wait()
			if n := r.server.lines.Taken(); n != 0 {
				t.Errorf("%d bytes of the room for long lines are not given back", n)
			}
		})
	}
}

// TestAfterLongLines: over TCP, where a line may have come whole although it was begun as a long
// one, the commands behind it are done as ever.
func TestAfterLongLines(t *testing.T) {
	r := openPort(t, setup{})
	nc := r.dial()
	line := "get " + strings.Repeat("q ", 20_000) + "\r\n"
	for round := range 40 {
		at := 1 + round*900
		if _, err := io.WriteString(nc, line[:at]); err != nil {
			t.Fatal(err)
		}
		expect(t, nc, line[at:], endOf)
		expect(t, nc, "set q 0 0 5000\r\n"+strings.Repeat("a", 5000)+"\r\n", stored)
		expect(t, nc, "delete q\r\n", deleted)
	}
}

// TestLongLineOfAStranger: a client that has not logged in gets no room for a long line.
func TestLongLineOfAStranger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, setup{Keys: [][]byte{[]byte("key")}})
		defer r.stop()
		nc := r.ln.dial()
		defer nc.Close()
		go io.WriteString(nc, "get "+strings.Repeat("q ", 3000)) // ends with the connection
		got, err := io.ReadAll(nc)
		if want := "CLIENT_ERROR " + errLong.Error() + "\r\n"; string(got) != want {
			t.Errorf("got %q, %v; want %q", got, err, want)
		}
	})
}
