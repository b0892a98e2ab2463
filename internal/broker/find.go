package broker

import (
	"context"

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

// List checks the numbers and lists queues.
func (b *Broker) List(ctx context.Context, q glassq.QueueQuery) (glassq.QueueList, error) {
	if q.Skip < 0 || q.Skip > glassq.MaxListed || q.Max < 0 || q.Max > glassq.MaxListed {
		return glassq.QueueList{}, glassq.Errorf(glassq.CodeBadRequest, "a list skips and shows 0 to %d queues", glassq.MaxListed)
	}
	return b.store.List(ctx, q)
}

// NextDelayed passes through.
func (b *Broker) NextDelayed(ctx context.Context, queue string) (glassq.Delays, error) {
	return b.store.NextDelayed(ctx, queue)
}
