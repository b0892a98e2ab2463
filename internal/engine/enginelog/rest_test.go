package enginelog_test

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/engine"
	"github.com/glassq/glassq/internal/engine/enginelog"
)

// TestRest: a log that holds less that is dead than is worth a checkpoint keeps it while much is
// written, and gives it back once it rests.
func TestRest(t *testing.T) {
	for _, tt := range []struct {
		name   string
		policy engine.Policy
	}{
		{"any extent", engine.Policy{}},
		{"the oldest extent", engine.Policy{FreesFront: true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, err := enginelog.Open(enginelog.NewStore(), enginelog.Options{Policy: tt.policy}, engine.Options{})
				if err != nil {
					t.Fatal(err)
				}
				defer l.Close()
				pass := func() {
					_, err := l.Engine.Put(t.Context(), []glassq.Task{{Queue: "q", Body: bytes.Repeat([]byte("x"), 64<<10)}})
					if err != nil {
						t.Fatal(err)
					}
					if _, err := l.Engine.Reserve(t.Context(), glassq.Reserve{Queue: "q", Max: 1, Take: true}); err != nil {
						t.Fatal(err)
					}
				}
				for range 40 {
					pass()
					time.Sleep(5 * time.Second)
				}
				if n := len(l.Extents()); n < 5 {
					t.Errorf("the log has %d extents while it is written, want all", n)
				}
				time.Sleep(time.Minute)
				if x := l.Extents(); len(x) != 1 || x[0].Sealed {
					t.Errorf("extents of a log at rest = %+v, want the one that is written", x)
				}
			})
		})
	}
}
