package broker

import (
	"context"

	"github.com/glassq/glassq"
)

// checkKeys refuses rules of keys that cannot be kept, with what stands already.
func (b *Broker) checkKeys(ctx context.Context, queue string, c glassq.SettingsChange) error {
	if c.Keys == nil {
		return nil
	}
	held, err := b.store.Held(ctx, queue)
	if err != nil {
		return err
	}
	return c.Apply(held[0].Settings).Keys.Check()
}

// Keys checks the page and lists keys; max 0 means 100, and at most 1,000 are shown.
func (b *Broker) Keys(ctx context.Context, queue, after string, max int) ([]glassq.KeyInfo, error) {
	if err := glassq.CheckName(queue); err != nil {
		return nil, err
	}
	if max <= 0 {
		max = 100
	}
	return b.store.Keys(ctx, queue, after, min(max, 1000))
}

// ReleaseKey checks the names and ends a hold.
func (b *Broker) ReleaseKey(ctx context.Context, queue, key string) error {
	if err := glassq.CheckName(queue); err != nil {
		return err
	}
	if key == "" || len(key) > glassq.MaxKey {
		return glassq.Errorf(glassq.CodeBadRequest, "key %.60q is not 1 to %d bytes", key, glassq.MaxKey)
	}
	return b.store.ReleaseKey(ctx, queue, key)
}
