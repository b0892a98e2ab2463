package cluster_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/cluster"
	"github.com/glassq/glassq/internal/cluster/clustertest"
)

// TestArchive: a store goes into another one with its tasks, dead ones, settings and books; one that
// was not restored to its end is no store, and there is no restoring over one.
func TestArchive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		world := clustertest.New(clustertest.Options{})
		_, a := join(t, world, often(t))
		for _, body := range []string{"one", "two", "three", strings.Repeat("long", 100_000)} {
			putTo(t, a, body)
		}
		ls, err := a.Reserve(ctx, glassq.Reserve{Queue: "q", Max: 2})
		if err != nil || len(ls) != 2 {
			t.Fatalf("reserve = %v, %v", ls, err)
		}
		if _, err := a.Nack(ctx, []glassq.Nack{{Token: ls[0].Token(), Dead: true, Reason: "no"}}); err != nil {
			t.Fatal(err)
		}
		var archive bytes.Buffer
		if err := a.Archive(ctx, &archive); err != nil {
			t.Fatal(err)
		}
		before, err := a.Queues(ctx, "q")
		if err != nil {
			t.Fatal(err)
		}

		half := clustertest.New(clustertest.Options{})
		cut := bytes.NewReader(archive.Bytes()[:archive.Len()/2])
		_, err = cluster.Restore(ctx, half.Join().Ground(), cut, often(t))
		if glassq.CodeOf(err) != glassq.CodeDamaged || !strings.Contains(err.Error(), "delete its log") {
			t.Errorf("a restore of half an archive = %v, want damaged, and what to do about what it wrote", err)
		}
		_, err = cluster.Restore(ctx, half.Join().Ground(), bytes.NewReader(archive.Bytes()), often(t))
		if !errors.Is(err, glassq.ErrBadRequest) || !strings.Contains(err.Error(), "a restore is under way or did not end") {
			t.Errorf("a restore behind one that did not end = %v, want bad_request, and what is there", err)
		}
		if _, err := cluster.Open(ctx, half.Join().Ground(), often(t)); glassq.CodeOf(err) != glassq.CodeDamaged {
			t.Errorf("what is left of half an archive opens with %v, want code damaged", err)
		}

		whole := clustertest.New(clustertest.Options{})
		n, err := cluster.Restore(ctx, whole.Join().Ground(), bytes.NewReader(archive.Bytes()), often(t))
		if err != nil || n != 4 {
			t.Fatalf("restore = %d tasks, %v; want 4, nil", n, err)
		}
		_, err = cluster.Restore(ctx, whole.Join().Ground(), bytes.NewReader(archive.Bytes()), often(t))
		if !errors.Is(err, glassq.ErrBadRequest) {
			t.Errorf("a second restore = %v, want bad_request", err)
		}
		_, b := join(t, whole, often(t))
		after, err := b.Queues(ctx, "q")
		if err != nil || after[0].Books != before[0].Books || after[0].Dead != 1 || after[0].Leased != 1 {
			t.Errorf("queue %+v, %v; want the books of %+v", after, err, before)
		}
		if errs, err := b.Ack(ctx, []glassq.Ack{{Token: ls[1].Token()}}); err != nil || errs[0] != nil {
			t.Errorf("ack of a lease that was live = %v, %v", errs, err)
		}
		if got := drained(t, b, "q"); len(got) != 2 {
			t.Errorf("there are %d tasks, want the two that were ready", len(got))
		}
	})
}
