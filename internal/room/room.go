// Package room lets who asks a store for tasks bound the memory that their bodies take, before they
// are read. It knows bytes and no tasks.
package room

import "context"

// A Taker takes room for the bodies of one answer. Its methods are not called at the same time.
type Taker interface {
	// Try takes n bytes more, if it need not wait for them, and tells whether it did. It is called
	// with locks held.
	Try(n int64) bool
	// Take waits until Try for n bytes will succeed, or until ctx is done. It is called only while
	// nothing is taken, so that those who wait hold nothing that another one needs.
	Take(ctx context.Context, n int64) error
}

type key struct{}

// Small is how many bytes a task may have that a reserve with Take takes as it is handed out. Under
// a context with room a larger one is leased all the same: who sends it acks it when it has left,
// and gives it back where it has not.
const Small = 64 << 10

// With has a Reserve or Peek under the context that it returns ask t before each task: what finds
// no room comes with the next one. Where there is none for the first task it waits, and no task is
// leased meanwhile.
func With(ctx context.Context, t Taker) context.Context { return context.WithValue(ctx, key{}, t) }

// Of is the Taker of a context, or nil.
func Of(ctx context.Context) Taker {
	t, _ := ctx.Value(key{}).(Taker)
	return t
}
