package jetstream_test

import (
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/enginetest"
	"github.com/glassq/glassq/internal/cluster"
	"github.com/glassq/glassq/internal/jetstream"
	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"
)

// beat is how often an owner shows signs of life in tests.
const beat = 200 * time.Millisecond

// dying waits for gateways that were cut off and are closing.
var dying sync.WaitGroup

// A system is a store of two gateways. Calls go to the one that is not the owner, as long as both
// live.
type system struct {
	name     string
	grounds  []*jetstream.Ground
	gateways []*cluster.Store
}

func (s *system) open(t testing.TB) {
	t.Helper()
	s.grounds, s.gateways = nil, nil
	for range 2 {
		g := open(t, servers(t), s.name)
		gateway, err := cluster.Open(t.Context(), g.Ground(),
			cluster.Options{Beat: beat, Logger: slog.New(slog.NewTextHandler(t.Output(), nil))})
		if err != nil {
			t.Fatal(err)
		}
		s.grounds, s.gateways = append(s.grounds, g), append(s.gateways, gateway)
		if _, err := gateway.Runs(t.Context()); err != nil { // there is an owner
			t.Fatal(err)
		}
	}
}

func (s *system) Store() glassq.Store { return s.gateways[1] }

// Kill cuts both gateways off from everything: nothing that they still do has an effect.
func (s *system) Kill(t testing.TB) {
	t.Helper()
	for i, g := range s.gateways {
		s.grounds[i].Close()
		dying.Go(func() { g.Close() })
	}
	s.open(t)
}

// PowerCut is one of the gateways only: the servers keep what they confirmed.
func (s *system) PowerCut(t testing.TB) { t.Helper(); s.Kill(t) }

func (s *system) Restart(t testing.TB) {
	t.Helper()
	s.close(t)
	s.open(t)
}

func (s *system) close(t testing.TB) {
	t.Helper()
	for i := len(s.gateways) - 1; i >= 0; i-- {
		if err := s.gateways[i].Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		s.grounds[i].Close()
	}
}

// Close ends the gateways and removes the store, which costs the servers something while it is
// there.
func (s *system) Close(t testing.TB) {
	t.Helper()
	s.close(t)
	remove(t, s.name)
}

// remove deletes all that a store has on the servers.
func remove(t testing.TB, name string) {
	t.Helper()
	nc, err := nats.Connect("nats://" + servers(t).Nodes[0].Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := natsjs.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	for _, stream := range []string{"GLASSQ_" + name + "_0", "KV_GLASSQ_" + name, "OBJ_GLASSQ_" + name} {
		if err := js.DeleteStream(t.Context(), stream); err != nil {
			t.Errorf("delete stream %s: %v", stream, err)
		}
	}
}

// TestLaws runs the laws that hold in real time, on three servers that sync what they confirm, at a
// gateway that does not own the store.
func TestLaws(t *testing.T) {
	servers(t)
	var count atomic.Int64
	enginetest.RunReal(t, enginetest.Harness{Open: func(t testing.TB) enginetest.System {
		s := &system{name: fmt.Sprint("laws", count.Add(1))}
		s.open(t)
		return s
	}})
}
