package jetstream_test

import (
	"testing"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/cluster"
	"github.com/glassq/glassq/internal/jetstream"
)

// TestFull: a log that is near its max_bytes refuses puts, and what is there can be done.
func TestFull(t *testing.T) {
	t.Parallel()
	at, err := jetstream.Parse(servers(t).URL("full") + "?max_bytes=32MiB")
	if err != nil {
		t.Fatal(err)
	}
	g, err := jetstream.Open(t.Context(), at, jetstream.Options{AcceptLazySync: true})
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
		t.Fatalf("reserve = %v, %v", ls, err)
	}
	if errs, err := s.Ack(ctx, []glassq.Ack{{Token: ls[0].Token()}}); err != nil || errs[0] != nil {
		t.Errorf("ack = %v, %v", errs, err)
	}
}
