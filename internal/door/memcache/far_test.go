package memcache

import (
	"context"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/broker"
	"github.com/glassq/glassq/internal/disk"
)

// A farStore is one whose owner is another machine, which does not answer any more once stuck is set to be so:
// what it is asked then waits until the store is let go.
type farStore struct {
	*disk.Engine
	stuck, let chan struct{} // closed
}

func (s *farStore) Stats(ctx context.Context) (glassq.Stats, error) {
	stats, err := s.Engine.Stats(ctx)
	stats.AnswersWait, stats.Cluster = true, &glassq.ClusterStats{Role: glassq.RoleGateway}
	return stats, err
}

func (s *farStore) wait() {
	select {
	case <-s.stuck:
		<-s.let
	default:
	}
}

func (s *farStore) Put(ctx context.Context, ts []glassq.Task) ([]glassq.Receipt, error) {
	s.wait()
	return s.Engine.Put(ctx, ts)
}

func (s *farStore) Ack(ctx context.Context, acks []glassq.Ack) ([]error, error) {
	s.wait()
	return s.Engine.Ack(ctx, acks)
}

func (s *farStore) Reserve(ctx context.Context, r glassq.Reserve) ([]glassq.Lease, error) {
	if r.Wait == 0 {
		s.wait()
	}
	return s.Engine.Reserve(ctx, r)
}

// TestOwnerDoesNotAnswer: at a gateway whose owner does not answer, a connection waits for its own calls, and
// for nobody else's.
func TestOwnerDoesNotAnswer(t *testing.T) {
	const clients = 8
	for _, tt := range []struct{ name, ask, answer string }{
		{"a put", "set q 0 0 1\r\na\r\n", stored},
		{"a get", "get q\r\n", endOf},
		{"an ack", "delete q/1\r\n", notFound},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e, err := disk.Open("mem:", disk.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer e.Close()
			store := &farStore{e, make(chan struct{}), make(chan struct{})}
			server := New(broker.New(store, glassq.Limits{}), setup{}.frame())
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- server.Run(ctx, ln) }()
			defer func() {
				cancel()
				if err := <-ended; err != nil {
					t.Errorf("Run = %v", err)
				}
			}()
			release := sync.OnceFunc(func() { close(store.let) })
			defer release()
			var ncs []net.Conn
			for range clients {
				nc, err := net.Dial("tcp", ln.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				defer nc.Close()
				nc.SetDeadline(time.Now().Add(time.Minute)) // it hangs
				for range 2 * firstEnough {                 // single commands, as a loop takes them
					expect(t, nc, "set other 0 0 1\r\na\r\n", stored)
					expect(t, nc, "get none\r\n", endOf)
				}
				ncs = append(ncs, nc)
			}
			close(store.stuck)
			for _, nc := range ncs[:clients/2] {
				if _, err := io.WriteString(nc, tt.ask); err != nil {
					t.Fatal(err)
				}
			}
			parked(t, "(*farStore).wait", 1)
			for _, nc := range ncs[clients/2:] {
				expect(t, nc, "version\r\n", "VERSION "+version+"\r\n")
				expect(t, nc, "verbosity 1\r\n", okay)
			}
			release()
			for _, nc := range ncs[:clients/2] {
				expect(t, nc, "", tt.answer)
			}
		})
	}
}
