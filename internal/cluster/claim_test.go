package cluster

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/glassq/glassq/internal/engine"
)

// A passed log has grown and lost its front since a taker read it.
type passed struct{ FencedLog }

func (passed) Append(_ uint64, _ []byte, answer func(error)) { answer(ErrRefused) }
func (passed) Read(context.Context, uint64) ([]byte, error)  { return nil, ErrNoMessage }
func (passed) Info(context.Context) (Info, error)            { return Info{First: 100, Last: 200}, nil }

// TestPassed: a claim that comes so late that its place in the log is purged already is not tried
// for ever: the log is read anew.
func TestPassed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &taker{log: passed{}, opt: engine.Options{}}
		k.begin()
		k.f.at = point{number: 50}
		ctx, cancel := context.WithTimeout(t.Context(), late)
		defer cancel()
		if won, err := k.claim(ctx); won || !errors.Is(err, errPurged) {
			t.Errorf("claim = %v, %v; want errPurged", won, err)
		}
	})
}
