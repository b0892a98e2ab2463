package memcache

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestAnnouncedBodies: commands that announce a body and do not send it stop nobody. A large body
// that comes in with less than 1 KiB/s is cut after 10 s, with a word where one is wanted; one that
// has its buffer in the connection may be typed.
func TestAnnouncedBodies(t *testing.T) {
	const slow = "SERVER_ERROR the body came in with less than 1 KiB/s over 10s; send it again, in one go\r\n"
	for _, tt := range []struct {
		name, send string
		lasts      time.Duration
		want       string
	}{
		{"large", "set q 0 0 16000000\r\n", 10 * time.Second, slow},
		{"large, begun", "set q 0 0 16000000\r\n" + strings.Repeat("x", 9<<10), 10 * time.Second, slow},
		{"small, begun", "set q 0 0 60000\r\n" + strings.Repeat("x", 9<<10), 10 * time.Second, slow},
		{"all but the end", "set q 0 0 60000\r\n" + strings.Repeat("x", 60000), 10 * time.Second, slow},
		{"noreply", "set q 0 0 16000000 noreply\r\n", 10 * time.Second, ""},
		{"result", "cas q 0 0 16000000 5\r\n", 10 * time.Second, slow},
		{"of no command of ours", "append q 0 0 16000000\r\n", 10 * time.Second, slow},
		{"too large", "set q 0 0 17000000\r\n", 10 * time.Second, slow},
		{"too large, all but the end", "set q 0 0 17000000\r\n" + strings.Repeat("x", 17000000), 10 * time.Second, slow},
		{"typed", "set q 0 0 1000\r\nx", stallTimeout, ""},
		{"a line", "set q 0", stallTimeout, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, setup{})
				defer r.stop()
				var idle []net.Conn
				for range 20 {
					nc := r.ln.dial()
					defer nc.Close()
					go io.WriteString(nc, tt.send) // ends with the connection
					idle = append(idle, nc)
				}
				synctest.Wait()
				nc := r.ln.dial()
				defer nc.Close()
				body := strings.Repeat("y", 3*largeIn)
				expect(t, nc, fmt.Sprintf("set q 0 0 %d\r\n%s\r\n", len(body), body), stored)
				expect(t, nc, "set q 0 0 1\r\na\r\n", stored)
				expect(t, nc, "get q\r\n", fmt.Sprintf("VALUE q 0 %d\r\n%s\r\nEND\r\n", len(body), body))
				began := time.Now()
				for _, nc := range idle {
					got, err := io.ReadAll(nc)
					if string(got) != tt.want || err != nil || time.Since(began) != tt.lasts {
						t.Errorf("%q, %v after %v; want %q after %v", got, err, time.Since(began), tt.want, tt.lasts)
					}
				}
			})
		})
	}
}

// TestNoRoomForBursts: where no large buffer is left, bursts and long commands are read in small
// pieces, and are answered all the same.
func TestNoRoomForBursts(t *testing.T) {
	var send, want strings.Builder
	for i := range 500 {
		body := strings.Repeat("b", i*i%9000)
		fmt.Fprintf(&send, "set q 0 0 %d\r\n%s\r\ntouch q/7 1\r\nget q\r\n", len(body), body)
		fmt.Fprintf(&want, "STORED\r\nNOT_FOUND\r\nVALUE q 0 %d\r\n%s\r\nEND\r\n", len(body), body)
	}
	for _, taken := range []int64{0, burstRoom - largeIn, burstRoom} {
		t.Run(fmt.Sprint(taken), func(t *testing.T) {
			r := openPort(t, setup{})
			r.server.bursts.Add(taken)
			r.ask(send.String(), want.String())
			r.server.bursts.Add(-taken)
		})
	}
}
