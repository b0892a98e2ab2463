package memcache

import (
	"bytes"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/glassq/glassq/internal/door"
)

// A farEnd is a connection from another machine.
type farEnd struct {
	net.Conn
	from net.Addr
}

func (f farEnd) RemoteAddr() net.Addr { return f.from }

// from connects from an address.
func (r *rig) from(address string) net.Conn {
	ours, theirs := net.Pipe()
	r.t.Cleanup(func() { ours.Close() })
	r.ln.conns <- farEnd{theirs, &net.TCPAddr{IP: net.ParseIP(address), Port: 1}}
	return ours
}

// guarded runs a door that needs the key "secret", and returns what it logs.
func guarded(t *testing.T, test func(r *rig)) string {
	var log bytes.Buffer
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, setup{Keys: [][]byte{[]byte("secret")}, Log: slog.New(slog.NewTextHandler(&log, nil))})
		defer r.stop()
		test(r)
	})
	return log.String()
}

const rightKey = "set x 0 0 8\r\nu secret\r\n"

// TestStrangersAreCut: connections that say nothing keep nobody out: the oldest are cut, and a
// client with the key is served, and stays.
func TestStrangersAreCut(t *testing.T) {
	said := guarded(t, func(r *rig) {
		known := r.from("192.0.2.1")
		expect(r.t, known, rightKey, stored)
		silent := make([]net.Conn, 300)
		for i := range silent {
			silent[i] = r.from("192.0.2.1")
		}
		synctest.Wait()
		cut := 0
		for _, nc := range silent {
			nc.SetReadDeadline(time.Now())
			if _, err := nc.Read(make([]byte, 1)); err == io.EOF {
				cut++
			}
		}
		if cut != 300-64 {
			r.t.Errorf("%d of 300 silent connections were cut; want all but 64", cut)
		}
		late := r.from("192.0.2.1")
		expect(r.t, late, rightKey, stored)
		for _, nc := range append(silent, known, late) {
			defer nc.Close()
		}
		expect(r.t, known, "set q 0 0 1\r\na\r\n", stored)
		expect(r.t, late, "get q\r\n", "VALUE q 0 1\r\na\r\nEND\r\n")
	})
	if n := strings.Count(said, "have not shown the key"); n != 1 {
		t.Errorf("%d lines; want one:\n%s", n, said)
	}
}

// TestWrongKeysTakeTurns: those of one machine are refused one after the other, and none is looked
// at meanwhile; the right key of another machine does not wait.
func TestWrongKeysTakeTurns(t *testing.T) {
	const refused = "CLIENT_ERROR unauthenticated\r\n"
	said := guarded(t, func(r *rig) {
		began := time.Now()
		for _, key := range []string{"u wrong", "u       ", "  ", "secret"} {
			nc := r.from("192.0.2.1")
			expect(r.t, nc, "set x 0 0 "+string(rune('0'+len(key)))+"\r\n"+key+"\r\n", refused)
			nc.Close()
		}
		if took := time.Since(began); took != 4*door.WrongPause {
			r.t.Errorf("four wrong keys in %v; want %v", took, 4*door.WrongPause)
		}
		for range 8 {
			nc := r.from("192.0.2.1")
			defer nc.Close()
			go io.WriteString(nc, "set x 0 0 7\r\nu wrong\r\n") // ends with the connection
		}
		synctest.Wait()
		for address, waits := range map[string]bool{"192.0.2.2": false, "127.0.0.1": false, "192.0.2.1": true} {
			began := time.Now()
			nc := r.from(address)
			defer nc.Close()
			expect(r.t, nc, rightKey, stored)
			if took := time.Since(began); took > 0 != waits || took > door.LongestTurn {
				r.t.Errorf("the right key from %s waits %v", address, took)
			}
		}
	})
	if n := strings.Count(said, "not let in"); n != 1 {
		t.Errorf("%d lines; want one:\n%s", n, said)
	}
}

// TestBinaryIsLogged: clients of the binary protocol are told so, with one line a minute, and
// before any key.
func TestBinaryIsLogged(t *testing.T) {
	said := guarded(t, func(r *rig) {
		for range 3 {
			nc := r.from("127.0.0.1")
			defer nc.Close()
			head := "\x80\x0b" + strings.Repeat("\x00", 10) + "abcd" + strings.Repeat("\x00", 8)
			go io.WriteString(nc, head) // ends with the connection
			got, err := io.ReadAll(nc)
			if len(got) != 39 || got[0] != 0x81 || got[1] != 0x0b || got[7] != 0x81 || string(got[12:16]) != "abcd" ||
				string(got[24:]) != "Unknown command" {
				r.t.Errorf("got %q, %v", got, err)
			}
		}
	})
	if n := strings.Count(said, "no binary one"); n != 1 {
		t.Errorf("%d lines; want one:\n%s", n, said)
	}
}
