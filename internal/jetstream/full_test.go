package jetstream_test

import (
	"strings"
	"testing"

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

func testFull(t *testing.T, url string) {
	at, err := jetstream.Parse(url)
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
