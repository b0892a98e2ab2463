package jetstream

import (
	"context"
	"errors"
	"sync"

	"github.com/glassq/glassq/internal/cluster"
	"github.com/nats-io/nats.go"
)

// A bus is core NATS, which loses what nobody hears.
type bus Ground

func (b *bus) Request(ctx context.Context, to string, msg []byte) ([]byte, error) {
	reply, err := b.nc.RequestWithContext(ctx, b.at.callSubject()+to, msg)
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		return nil, cluster.ErrNobody
	case err != nil:
		return nil, err
	}
	return reply.Data, nil
}

func (b *bus) Serve(name string, handle func(msg []byte) (reply []byte)) (stop func(), err error) {
	return b.listen(b.at.callSubject()+name, func(msg *nats.Msg) { msg.Respond(handle(msg.Data)) })
}

func (b *bus) Tell(msg []byte) error { return b.nc.Publish(b.at.tellSubject(), msg) }

func (b *bus) Hear(hear func(msg []byte)) (stop func(), err error) {
	return b.listen(b.at.tellSubject(), func(msg *nats.Msg) { hear(msg.Data) })
}

// listen has the servers know of a subscription when it returns. Calls of take come one at a time,
// and none begins once stop was called.
func (b *bus) listen(subject string, take func(*nats.Msg)) (stop func(), err error) {
	var mu sync.RWMutex
	over := false
	sub, err := b.nc.Subscribe(subject, func(msg *nats.Msg) {
		mu.RLock()
		defer mu.RUnlock()
		if !over {
			take(msg)
		}
	})
	if err == nil {
		err = b.nc.FlushTimeout(tryFor)
	}
	if err != nil {
		return nil, (*Ground)(b).orDenied(err)
	}
	return func() {
		sub.Unsubscribe()
		mu.Lock()
		defer mu.Unlock()
		over = true
	}, nil
}

func (b *bus) MaxMessage() int { return b.most }
