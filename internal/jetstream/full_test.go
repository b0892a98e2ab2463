package jetstream_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/cluster"
	"github.com/glassq/glassq/internal/jetstream"
	"github.com/glassq/glassq/internal/jetstream/natstest"
)

// TestFull: a log that is near its max_bytes, or in an account that is near its limit, refuses puts, and
// what is there can be done.
func TestFull(t *testing.T) {
	t.Parallel()
	testFull(t, servers(t).URL("full")+"?max_bytes=32MiB")
}

func TestAccountFull(t *testing.T) {
	t.Parallel()
	servers(t) // says what is missing
	c := natstest.New(t, 3, natstest.Options{Lazy: true, More: `
accounts { A { jetstream { max_mem: 0, max_file: 100MB, max_streams: 9, max_consumers: 9 }, users: [{user: a, password: b}] } }
`})
	testFull(t, strings.Replace(c.URL("full"), "nats://", "nats://a:b@", 1))
}

// TestServersFull: a server that is over its own max_file_store takes nothing any more. Where its monitoring
// port is known, puts are refused before that; where it is not, the store stands still, says why, and goes on
// when there is room. Nothing is lost.
func TestServersFull(t *testing.T) {
	t.Parallel()
	servers(t) // says what is missing
	for _, tt := range []struct {
		name    string
		servers int
	}{
		{"one server", 1},
		{"three servers", 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := natstest.New(t, tt.servers, natstest.Options{Lazy: true, Store: "48MB"})
			replicas := fmt.Sprint("?replicas=", tt.servers)
			testFull(t, c.URL("seen")+replicas, c.Monitors()...)
			at, err := jetstream.Parse(c.URL("unseen") + replicas)
			if err != nil {
				t.Fatal(err)
			}
			stands, heard := context.WithCancel(patience(t))
			log := slog.New(slog.NewTextHandler(waiter{&bytes.Buffer{}, heard}, nil))
			g, err := jetstream.Open(t.Context(), at, jetstream.Options{AcceptLazySync: true})
			if err != nil {
				t.Fatal(err)
			}
			defer g.Close()
			s, err := cluster.Open(t.Context(), g.Ground(), cluster.Options{Beat: beat, Logger: log})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			ctx := patience(t)
			put := func(i int) error {
				_, err := s.Put(ctx, []glassq.Task{{Queue: "q", ID: fmt.Sprint(i), Body: make([]byte, 64<<10)}})
				return err
			}
			stored := 0
			for ; err == nil; stored++ {
				err = put(stored)
			}
			stored--
			if code := glassq.CodeOf(err); code != glassq.CodeUnknown && code != glassq.CodeStorageFull {
				t.Errorf("put %d = %v, want outcome_unknown or storage_full", stored, err)
			}
			if <-stands.Done(); ctx.Err() != nil {
				t.Fatal("it does not say that it stands still")
			}
			found := jetstream.Examine(ctx, at, jetstream.Options{Monitors: c.Monitors()})
			if !slices.ContainsFunc(found, func(f jetstream.Finding) bool { return f.What == "room" && f.Level == "FAIL" }) {
				t.Errorf("found %+v, want that there is no room", found)
			}
			for err = nil; err == nil || glassq.CodeOf(err) != glassq.CodeUnavailable; err = put(stored) {
				if err != nil && ctx.Err() != nil {
					t.Fatalf("while it stands still a put = %v, want unavailable", err)
				}
				<-time.After(beat)
			}
			if !strings.Contains(err.Error(), "max_file_store") {
				t.Errorf("while it stands still a put = %v, want max_file_store named", err)
			}
			for _, node := range c.Nodes {
				if err := node.Resize("1GB"); err != nil {
					t.Fatal(err)
				}
			}
			for err = put(stored); err != nil && ctx.Err() == nil; err = put(stored) {
				<-time.After(beat)
			}
			if err != nil {
				t.Fatalf("with room again, a put = %v", err)
			}
			there := map[string]bool{}
			for len(there) <= stored {
				ls, err := s.Reserve(ctx, glassq.Reserve{Queue: "q", Max: 100, Lease: time.Hour})
				if err != nil || len(ls) == 0 {
					t.Fatalf("of %d tasks %d are there; reserve = %v", stored+1, len(there), err)
				}
				for _, l := range ls {
					there[l.ID] = true
				}
			}
		})
	}
}

func testFull(t *testing.T, url string, monitors ...string) {
	at, err := jetstream.Parse(url)
	if err != nil {
		t.Fatal(err)
	}
	g, err := jetstream.Open(t.Context(), at, jetstream.Options{Monitors: monitors, AcceptLazySync: true})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	s, err := cluster.Open(t.Context(), g.Ground(), cluster.Options{Beat: beat})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ctx := patience(t)
	puts := 0
	for ; err == nil; puts++ {
		_, err = s.Put(ctx, []glassq.Task{{Queue: "q", Body: make([]byte, 64<<10)}})
	}
	if glassq.CodeOf(err) != glassq.CodeStorageFull {
		t.Fatalf("put %d = %v, want storage_full", puts, err)
	}
	ls, err := s.Reserve(ctx, glassq.Reserve{Queue: "q", Max: 1})
	if err != nil || len(ls) != 1 {
		t.Fatalf("after %d puts reserve = %v, %v", puts, ls, err)
	}
	if errs, err := s.Ack(ctx, []glassq.Ack{{Token: ls[0].Token()}}); err != nil || errs[0] != nil {
		t.Errorf("ack = %v, %v", errs, err)
	}
}
