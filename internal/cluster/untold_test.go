package cluster_test

import (
	"context"
	"encoding/binary"
	"hash/crc32"
	"testing"
	"testing/synctest"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/cluster"
	"github.com/glassq/glassq/internal/cluster/clustertest"
)

// TestNothingUntold: an owner that does not reach the log answers nothing, and all of it once it does.
func TestNothingUntold(t *testing.T) {
	ack := func(ctx context.Context, s *cluster.Store, l glassq.Lease) error {
		errs, err := s.Ack(ctx, []glassq.Ack{{Token: l.Token()}})
		if err == nil {
			err = errs[0]
		}
		return err
	}
	for _, tt := range []struct {
		name string
		call func(ctx context.Context, s *cluster.Store, l glassq.Lease) error
	}{
		{"put", func(ctx context.Context, s *cluster.Store, _ glassq.Lease) error {
			_, err := s.Put(ctx, []glassq.Task{{Queue: "q"}})
			return err
		}},
		{"reserve", func(ctx context.Context, s *cluster.Store, _ glassq.Lease) error {
			_, err := s.Reserve(ctx, glassq.Reserve{Queue: "q", Max: 1})
			return err
		}},
		{"extend", func(ctx context.Context, s *cluster.Store, l glassq.Lease) error {
			errs, err := s.Extend(ctx, []glassq.Extend{{Token: l.Token(), Lease: time.Hour}})
			if err == nil {
				err = errs[0]
			}
			return err
		}},
		{"ack", ack},
		{"nack", func(ctx context.Context, s *cluster.Store, l glassq.Lease) error {
			errs, err := s.Nack(ctx, []glassq.Nack{{Token: l.Token()}})
			if err == nil {
				err = errs[0]
			}
			return err
		}},
		{"read of what is with the log", func(ctx context.Context, s *cluster.Store, l glassq.Lease) error {
			go ack(ctx, s, l)
			synctest.Wait()
			_, err := s.Queues(ctx, "q")
			return err
		}},
		{"look", func(ctx context.Context, s *cluster.Store, l glassq.Lease) error {
			go ack(ctx, s, l)
			synctest.Wait()
			_, err := s.Reserve(ctx, glassq.Reserve{Queue: "q", Max: 1, Look: true})
			return err
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				member := clustertest.New(clustertest.Options{}).Join()
				s, err := cluster.Open(t.Context(), member.Ground(), often(t))
				if err != nil {
					t.Fatal(err)
				}
				defer s.Close()
				putTo(t, s, "one")
				putTo(t, s, "two")
				ls, err := s.Reserve(t.Context(), glassq.Reserve{Queue: "q", Max: 1, Lease: time.Hour})
				if err != nil || len(ls) != 1 {
					t.Fatalf("reserve = %v, %v", ls, err)
				}
				synctest.Wait()
				member.Cut(true, false, false)
				told := make(chan error, 1)
				go func() { told <- tt.call(t.Context(), s, ls[0]) }()
				time.Sleep(time.Minute)
				synctest.Wait()
				select {
				case err := <-told:
					t.Errorf("it is answered by %v while the log does not answer", err)
					member.Cut(false, false, false)
				default:
					member.Cut(false, false, false)
					if err := <-told; err != nil {
						t.Errorf("it is answered by %v once the log answers", err)
					}
				}
			})
		})
	}
}

// forked is a message as another owner would have written it in its place: it is whole, and the chain after it
// is another one.
func forked(msg []byte) []byte {
	le := binary.LittleEndian
	le.PutUint64(msg[56:], le.Uint64(msg[56:])+1) // its time
	le.PutUint32(msg[4:], crc32.Checksum(msg[8:108], crc32.MakeTable(crc32.Castagnoli)))
	return msg
}

// A strayLog is one whose nearest machine has another last message than the one that orders them.
type strayLog struct {
	cluster.FencedLog
	last uint64
}

func (l *strayLog) Scan(ctx context.Context, first uint64, most int, each func(uint64, []byte) bool) error {
	return l.FencedLog.Scan(ctx, first, most, func(n uint64, msg []byte) bool {
		if n == l.last {
			msg = forked(msg)
		}
		return each(n, msg)
	})
}

// TestStray: a machine whose log ends in another message is not believed, and the next owner's messages follow
// what all machines have.
func TestStray(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		world := clustertest.New(clustertest.Options{})
		opt := often(t)
		opt.CheckpointEvery = 1 << 20 // the next owner reads it all
		first, a := join(t, world, opt)
		putTo(t, a, "one")
		first.Kill()
		a.Abort()
		world.Forget("shard.0")
		second := world.Join()
		ground := second.Ground()
		ground.Log = &strayLog{ground.Log, world.Last()}
		b, err := cluster.Open(t.Context(), ground, opt)
		if err != nil {
			t.Fatal(err)
		}
		putTo(t, b, "two")
		second.Kill()
		b.Abort()
		world.Forget("shard.0")
		_, c := join(t, world, opt)
		if got := drained(t, c, "q"); len(got) != 2 || got["one"] != 1 || got["two"] != 1 {
			t.Errorf("there is %v, want both tasks once", got)
		}
	})
}

// TestNumbersAfterLoss: where log and hints went back together and nobody knows, lease numbers still go on: those
// of before are not used again.
func TestNumbersAfterLoss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		world := clustertest.New(clustertest.Options{})
		opt := often(t)
		opt.CheckpointEvery = 1 << 20
		reserve := func(s *cluster.Store) uint64 {
			putTo(t, s, "x")
			ls, err := s.Reserve(t.Context(), glassq.Reserve{Queue: "q", Max: 1})
			if err != nil || len(ls) != 1 {
				t.Fatalf("reserve = %v, %v", ls, err)
			}
			return ls[0].Number
		}
		first, a := join(t, world, opt)
		was := reserve(a)
		first.Kill()
		a.Abort()
		world.Forget("shard.0")
		world.Lose(1) // all but the claim
		time.Sleep(time.Hour)
		_, b := join(t, world, opt)
		if is := reserve(b); is <= was {
			t.Errorf("lease number %d after %d", is, was)
		}
	})
}
