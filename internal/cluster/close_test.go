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

// TestOwnerGoesUnheard: a put that the owner did, and of which the receipt was lost, is not done
// again at the next owner when it has no id.
func TestOwnerGoesUnheard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSystem(t, clustertest.Options{Hop: 10 * time.Millisecond}, 2, 1)
		defer s.gateways[1].Close()
		time.Sleep(time.Second)
		put := make(chan error, 1)
		go func() {
			_, err := s.gateways[1].Put(t.Context(), []glassq.Task{{Queue: "q"}})
			put <- err
		}()
		time.Sleep(15 * time.Millisecond) // the owner has it, and its receipt is on the way
		s.members[1].Cut(false, true, false)
		time.Sleep(6 * time.Millisecond)
		s.members[1].Cut(false, false, false)
		time.Sleep(time.Millisecond)
		if err := s.gateways[0].Close(); err != nil {
			t.Error(err)
		}
		err := <-put
		n := drained(t, s.gateways[1], "q")[""]
		if n > 1 || err == nil && n != 1 || err != nil && glassq.CodeOf(err) != glassq.CodeUnknown {
			t.Errorf("put = %v, and there are %d tasks; want one, or outcome_unknown", err, n)
		}
	})
}
