package jetstream

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
)

// TestSilentServer: a server that does not answer a read leaves time to ask the leader, however many
// messages were asked for.
func TestSilentServer(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() { // ends with ln, and each client with its connection
		for nc, err := ln.Accept(); err == nil; nc, err = ln.Accept() {
			go func() {
				defer nc.Close()
				fmt.Fprint(nc, "INFO {\"server_id\":\"a\",\"version\":\"2.12.0\",\"proto\":1,\"headers\":true,\"max_payload\":1048576}\r\n")
				for in := bufio.NewScanner(nc); in.Scan(); {
					if strings.HasPrefix(in.Text(), "PING") {
						io.WriteString(nc, "PONG\r\n")
					}
				}
			}()
		}
	}()
	nc, err := nats.Connect("nats://" + ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	for _, most := range []int{1, 2} {
		t.Run(fmt.Sprint(most), func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 10*tryFor)
			defer cancel()
			err := (&log{Ground: &Ground{nc: nc}}).Scan(ctx, 1, most, nil)
			if err == nil || ctx.Err() != nil {
				t.Errorf("scan = %v, and the time for all tries is over: %v", err, ctx.Err())
			}
		})
	}
}
