//go:build unix

package httpdoor

import (
	"context"
	"io"
	"testing"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/broker"
)

// TestGoneBeforeTheAnswer: a client that closes before it has its lease has taken nothing, while it
// waits and with requests that are not served yet.
func TestGoneBeforeTheAnswer(t *testing.T) {
	b := openStore(t)
	dial := served(t, b, Options{})
	for _, sent := range []string{
		request("POST", "/v1/queues/q/reserve?wait=10m", ""),
		request("POST", "/v1/queues/other/reserve?wait=10m", "") + request("POST", "/v1/queues/q/reserve", ""),
	} {
		for range 50 {
			c := dial()
			io.WriteString(c, sent)
			c.Close()
			if _, err := b.Put(t.Context(), []glassq.Task{{Queue: "q", Body: []byte("a")}}); err != nil {
				t.Fatal(err)
			}
			// What is given back is ready in its old place, and no attempt is counted.
			leases, err := b.Reserve(t.Context(), glassq.Reserve{Queue: "q", Max: 1, Wait: 10 * time.Second, Take: true})
			if err != nil || len(leases) != 1 || leases[0].Attempt != 1 {
				t.Fatalf("reserve after %q = %+v, %v; want the first attempt", sent, leases, err)
			}
		}
	}
}

// TestGoneWithTheAnswer: a task that becomes ready as its client closes is sent to nobody, and given
// back.
func TestGoneWithTheAnswer(t *testing.T) {
	parked, back := make(chan struct{}), make(chan glassq.Nack, 1)
	st := &stub{
		reserve: func(ctx context.Context) ([]glassq.Lease, error) {
			close(parked)
			<-ctx.Done()
			return []glassq.Lease{{Number: 7, Task: glassq.Task{Queue: "q", Body: []byte("a")}}}, nil
		},
		nack: func(_ context.Context, nacks []glassq.Nack) ([]error, error) {
			back <- nacks[0]
			return make([]error, len(nacks)), nil
		},
	}
	c := served(t, broker.New(st, glassq.Limits{}), Options{})()
	io.WriteString(c, request("POST", "/v1/queues/q/reserve?wait=10m", ""))
	<-parked
	c.Close()
	select {
	case n := <-back:
		if n.Token.Number != 7 || !n.Undone {
			t.Errorf("given back: %+v, want lease 7 undone", n)
		}
	case <-time.After(10 * time.Second):
		t.Error("the lease was not given back")
	}
}
