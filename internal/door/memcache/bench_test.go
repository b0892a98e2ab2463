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

// A taker is a store that takes every put and keeps nothing.
type taker struct {
	glassq.Store
	receipts []glassq.Receipt
}

func (t *taker) Put(_ context.Context, tasks []glassq.Task) ([]glassq.Receipt, error) {
	return t.receipts[:len(tasks)], nil
}

// BenchmarkBurst is what a burst of 2,048 puts costs the door alone: parsing, the broker's rules, answers.
func BenchmarkBurst(b *testing.B) {
	const burst = 2048
	text := strings.Repeat("set q 0 0 32\r\n"+strings.Repeat("x", 32)+"\r\n", burst)
	ours, theirs := net.Pipe()
	defer ours.Close()
	defer theirs.Close()
	s := New(broker.New(&taker{receipts: make([]glassq.Receipt, burst)}, glassq.Limits{}), door.Frame{})
	c := newConn(b.Context(), s, &door.Conn{Conn: theirs})
	c.takeBuffers()
	if !c.grow() {
		b.Fatal("no room for a burst")
	}
	b.ReportAllocs()
	for b.Loop() {
		c.r, c.w = 0, copy(c.in, text)
		for done := true; done; {
			var err error
			if done, err = c.step(); err != nil {
				b.Fatal(err)
			}
		}
		c.settlePending()
		if got := len(c.desk.out); got != burst*len(stored) {
			b.Fatalf("answered %d bytes, want %d", got, burst*len(stored))
		}
		c.desk.out = c.desk.out[:0]
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/burst, "ns/put")
}
