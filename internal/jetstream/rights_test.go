package jetstream_test

import (
	"os"
	"strings"
	"testing"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/cluster"
	"github.com/glassq/glassq/internal/jetstream"
	"github.com/glassq/glassq/internal/jetstream/natstest"
)

// TestRights: the rights that docs/cluster.md names are enough for two gateways and all that they
// do.
func TestRights(t *testing.T) {
	t.Parallel()
	servers(t) // says what is missing
	page, err := os.ReadFile("../../docs/cluster.md")
	if err != nil {
		t.Fatal(err)
	}
	_, conf, _ := strings.Cut(string(page), "<!-- rights -->\n```\n")
	conf, _, ok := strings.Cut(conf, "```")
	if !ok {
		t.Fatal("docs/cluster.md has no rights")
	}
	c := natstest.New(t, 1, natstest.Options{More: conf})
	at, err := jetstream.Parse(strings.Replace(c.URL("main"), "nats://", "nats://gateway:secret@", 1) + "?replicas=1")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 2 {
		g, err := jetstream.Open(patience(t), at, jetstream.Options{AcceptLazySync: true})
		if err != nil {
			t.Fatal(err)
		}
		defer g.Close()
		s, err := cluster.Open(patience(t), g.Ground(), cluster.Options{Beat: beat, CheckpointEvery: 1, ExtentBytes: 1})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close() // a checkpoint
		for range 20 {
			if _, err := s.Put(patience(t), []glassq.Task{{Queue: "q"}}); err != nil {
				t.Fatalf("gateway %d: %v", i, err)
			}
			ls, err := s.Reserve(patience(t), glassq.Reserve{Queue: "q", Max: 1})
			if err != nil || len(ls) != 1 {
				t.Fatalf("gateway %d: %v, %v", i, ls, err)
			}
			if _, err := s.Ack(patience(t), []glassq.Ack{{Token: ls[0].Token()}}); err != nil {
				t.Fatalf("gateway %d: %v", i, err)
			}
		}
	}
	if said := c.Nodes[0].Said(); strings.Contains(said, "Violation") {
		t.Errorf("a right lacks: %s", said)
	}
}
