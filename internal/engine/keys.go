package engine

import (
	"context"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/state"
)

// Keys lists keys of a queue; see glassq.Keys.
func (e *Engine) Keys(_ context.Context, queue, after string, most int) (keys []glassq.KeyInfo, err error) {
	err = e.read(func() error {
		q := e.st.Queue(queue)
		if q == nil {
			return state.NoQueue(queue)
		}
		keys = e.st.Keys(q, after, most)
		return nil
	})
	return keys, err
}

// ReleaseKey ends the hold and the halt of a key.
func (e *Engine) ReleaseKey(_ context.Context, queue, key string) error {
	return e.change(func() ([]byte, error) { return e.st.DecideRelease(nil, queue, key) }, nil)
}
