package cluster_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/cluster"
	"github.com/glassq/glassq/internal/cluster/clustertest"
)

// TestCloseCutOff: an owner that cannot reach the log any more still ends, and says of the call that
// was under way that nothing is known of it.
func TestCloseCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		member := clustertest.New(clustertest.Options{}).Join()
		g, err := cluster.Open(t.Context(), member.Ground(), often(t))
		if err != nil {
			t.Fatal(err)
		}
		putTo(t, g, "first")
		member.Cut(true, true, true)
		put := make(chan error, 1)
		go func() {
			_, err := g.Put(t.Context(), []glassq.Task{{Queue: "q"}})
			put <- err
		}()
		synctest.Wait()
		began := time.Now()
		if err := g.Close(); err != nil {
			t.Errorf("close = %v", err)
		}
		if took := time.Since(began); took > 15*time.Second {
			t.Errorf("close took %s", took)
		}
		if err := <-put; glassq.CodeOf(err) != glassq.CodeUnknown {
			t.Errorf("the put under way = %v, want outcome_unknown", err)
		}
	})
}
