package broker

import (
	"context"
	"time"

	"github.com/glassq/glassq"
)

// Find checks the names and finds a task.
func (b *Broker) Find(ctx context.Context, f glassq.Find) (glassq.Found, error) {
	name := f.Queue
	if f.Dense {
		name = f.Run
	}
	if f.Lease == 0 {
		if err := glassq.CheckName(name); err != nil {
			return glassq.Found{}, err
		}
	}
	return b.store.Find(ctx, f)
}

// NextDelayed passes through.
func (b *Broker) NextDelayed(ctx context.Context, queue string) (time.Duration, bool, error) {
	return b.store.NextDelayed(ctx, queue)
}
