package disk_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/glassq/glassq"
)

// TestArchiveRange: a range comes out of an archive with what is left of it, and with what became of
// its positions, a checkpoint included.
func TestArchiveRange(t *testing.T) {
	for _, h := range homes() {
		t.Run(h.name, func(t *testing.T) {
			a, err := h.open(t, nil)
			if err != nil {
				t.Fatal(err)
			}
			ctx := t.Context()
			if _, err := a.Put(ctx, []glassq.Task{{Queue: "q", Body: []byte("single")},
				{Queue: "q", Run: "r", Dense: true, Body: []byte("no. {0}"), Range: &glassq.Range{Count: 1000, Add: 7}}}); err != nil {
				t.Fatal(err)
			}
			held, err := a.Reserve(ctx, glassq.Reserve{Queue: "q", Max: 600, Lease: time.Hour})
			if err != nil || len(held) != 600 {
				t.Fatalf("Reserve = %d leases, %v", len(held), err)
			}
			said, err := a.Extend(ctx, []glassq.Extend{{Token: held[300].Token(), Seq: 1,
				Progress: &glassq.Progress{Done: 0.5, Checkpoint: []byte("page 40")}}})
			if err != nil || said[0] != nil {
				t.Fatalf("Extend = %v, %v", said, err)
			}
			var buf bytes.Buffer
			if err := a.(glassq.Archiver).Archive(ctx, &buf); err != nil {
				t.Fatal(err)
			}
			b, err := h.open(t, &buf)
			if err != nil {
				t.Fatal(err)
			}
			errs, err := b.Nack(ctx, []glassq.Nack{{Token: held[300].Token(), Undone: true}})
			if err != nil || errs[0] != nil {
				t.Fatalf("Nack = %v, %v", errs, err)
			}
			got, err := b.Reserve(ctx, glassq.Reserve{Queue: "q", Max: 1000})
			if err != nil || len(got) != 402 {
				t.Fatalf("Reserve after the archive = %d leases, %v; want one that came back and 401", len(got), err)
			}
			if p := got[0].Progress; p == nil || string(p.Checkpoint) != "page 40" || got[0].Position != 299 {
				t.Errorf("position %d goes on from %+v", got[0].Position, p)
			}
			for i, l := range got[1:] {
				if n := 599 + i; string(l.Body) != fmt.Sprintf("no. %d", n+7) || l.TaskID() != glassq.DenseID("r", uint32(n)) {
					t.Fatalf("lease %d is %s, %q", i, l.TaskID(), l.Body)
				}
			}
		})
	}
}
