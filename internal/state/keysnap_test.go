package state

import (
	"fmt"
	"io"
	"testing"

	"github.com/glassq/glassq"
)

// BenchmarkIdleKeysInCheckpoint writes a checkpoint of a queue that remembers many keys without tasks.
func BenchmarkIdleKeysInCheckpoint(b *testing.B) {
	const keys = 200_000
	s := New(Hooks{})
	s.Advance(1000)
	s.applySettings("q", glassq.Settings{Keys: &glassq.KeyRules{KeyLimits: glassq.KeyLimits{Rate: new(glassq.KeyRate("1/h"))}}})
	for i := range keys {
		s.Queue("q").ring.marks.put(keyMark{name: fmt.Sprintf("idle-%08d", i*7919%keys), rate: 1 << 50})
	}
	for b.Loop() {
		if err := s.Image().Write(io.Discard); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/keys, "ns/key")
}
