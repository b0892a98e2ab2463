package clustertest

import (
	"bytes"
	"context"
	"time"

	"github.com/glassq/glassq/internal/cluster"
)

type bus Member

// hop takes as long as a message from one program to another.
func (b *bus) hop(ctx context.Context) error {
	if b.world.opt.Hop == 0 {
		return ctx.Err()
	}
	select {
	case <-time.After(b.world.opt.Hop):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// silence is what comes of a call that nobody answers; a program that was killed does not wait.
func (b *bus) silence(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-b.killed:
		return errCut
	}
}

func (b *bus) Request(ctx context.Context, to string, msg []byte) ([]byte, error) {
	w := b.world
	if err := b.hop(ctx); err != nil {
		return nil, err
	}
	w.mu.Lock()
	peer := w.serving[to]
	lost := b.cutBus || peer != nil && peer.cutBus || w.chance(w.faults.Lost)
	unheard := w.chance(w.faults.Unanswered)
	var handle func([]byte) []byte
	if peer != nil {
		handle = peer.handle[to]
	}
	w.mu.Unlock()
	switch {
	case lost:
		return nil, b.silence(ctx)
	case handle == nil:
		return nil, cluster.ErrNobody
	}
	reply := bytes.Clone(handle(bytes.Clone(msg)))
	if unheard {
		return nil, b.silence(ctx)
	}
	if err := b.hop(ctx); err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if b.cutBus || peer.cutBus {
		return nil, errCut
	}
	return reply, nil
}

func (b *bus) Serve(name string, handle func([]byte) []byte) (stop func(), err error) {
	w, m := b.world, (*Member)(b)
	w.mu.Lock()
	defer w.mu.Unlock()
	m.handle[name] = handle
	w.serving[name] = m
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(m.handle, name)
		if w.serving[name] == m {
			delete(w.serving, name)
		}
	}, nil
}

func (b *bus) Tell(msg []byte) error {
	w := b.world
	w.mu.Lock()
	defer w.mu.Unlock()
	if b.cutBus {
		return errCut
	}
	for _, m := range w.members {
		for id := range m.hear {
			if m.cutBus && m != (*Member)(b) || w.chance(w.faults.Lost) {
				continue
			}
			data := bytes.Clone(msg)
			time.AfterFunc(w.opt.Hop, func() {
				w.mu.Lock()
				hear := m.hear[id]
				w.mu.Unlock()
				if hear != nil {
					hear(data)
				}
			})
		}
	}
	return nil
}

func (b *bus) Hear(hear func([]byte)) (stop func(), err error) {
	w, m := b.world, (*Member)(b)
	w.mu.Lock()
	defer w.mu.Unlock()
	m.hears++
	id := m.hears
	if m.hear != nil {
		m.hear[id] = hear
	}
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(m.hear, id)
	}, nil
}

func (b *bus) MaxMessage() int { return b.world.opt.Message }
