package broker

import (
	"context"
	"io"
	"time"

	"github.com/glassq/glassq"
)

// A Store is all that an engine may do. It answers code unsupported to what it cannot do.
type Store interface {
	glassq.Store
	glassq.Waits
	glassq.Copier
	glassq.Archiver
	glassq.Finder
	glassq.Lister
	glassq.Keys
	glassq.Schedules
}

// Full is s with all methods of a Store: those that it lacks have code unsupported, and Held is
// what Queues says.
func Full(s glassq.Store) Store {
	if full, ok := s.(Store); ok {
		return full
	}
	return partial{s}
}

type partial struct{ glassq.Store }

func (p partial) PutWait(ctx context.Context, tasks []glassq.Task, wait time.Duration) ([]glassq.Receipt, error) {
	if w, ok := p.Store.(glassq.Waits); ok {
		return w.PutWait(ctx, tasks, wait)
	}
	return nil, glassq.ErrUnsupported
}

func (p partial) AckWait(ctx context.Context, ack glassq.Ack, wait time.Duration) error {
	if w, ok := p.Store.(glassq.Waits); ok {
		return w.AckWait(ctx, ack, wait)
	}
	return glassq.ErrUnsupported
}

func (p partial) Held(ctx context.Context, queues ...string) ([]glassq.Held, error) {
	if w, ok := p.Store.(glassq.Waits); ok {
		return w.Held(ctx, queues...)
	}
	held := make([]glassq.Held, len(queues))
	for i, queue := range queues {
		all, err := p.Queues(ctx, queue)
		if err != nil && glassq.CodeOf(err) != glassq.CodeNotFound {
			return nil, err
		}
		for _, q := range all {
			held[i] = glassq.Held{Delayed: q.Delayed, Ready: q.Ready, Leased: q.Leased, Dead: q.Dead, Settings: q.Settings}
		}
	}
	return held, nil
}

func (p partial) AwaitIdle(ctx context.Context, queue string, wait time.Duration) (bool, error) {
	if w, ok := p.Store.(glassq.Waits); ok {
		return w.AwaitIdle(ctx, queue, wait)
	}
	return false, glassq.ErrUnsupported
}

func (p partial) Copy(ctx context.Context, file func(name string, size int64, r io.Reader) error) error {
	if c, ok := p.Store.(glassq.Copier); ok {
		return c.Copy(ctx, file)
	}
	return glassq.Errorf(glassq.CodeUnsupported, "this store cannot be copied while it is used: %w", glassq.ErrUnsupported)
}

func (p partial) Archive(ctx context.Context, w io.Writer) error {
	if a, ok := p.Store.(glassq.Archiver); ok {
		return a.Archive(ctx, w)
	}
	return glassq.Errorf(glassq.CodeUnsupported, "this store cannot be archived while it is used: %w", glassq.ErrUnsupported)
}

func (p partial) Find(ctx context.Context, f glassq.Find) (glassq.Found, error) {
	if s, ok := p.Store.(glassq.Finder); ok {
		return s.Find(ctx, f)
	}
	return glassq.Found{}, glassq.ErrUnsupported
}

func (p partial) List(ctx context.Context, q glassq.QueueQuery) (glassq.QueueList, error) {
	if s, ok := p.Store.(glassq.Lister); ok {
		return s.List(ctx, q)
	}
	return glassq.QueueList{}, glassq.ErrUnsupported
}

func (p partial) Schedules(ctx context.Context) ([]glassq.Schedule, error) {
	if s, ok := p.Store.(glassq.Schedules); ok {
		return s.Schedules(ctx)
	}
	return nil, glassq.ErrUnsupported
}

func (p partial) SetSchedule(ctx context.Context, name string, c glassq.ScheduleChange) (glassq.Schedule, error) {
	if s, ok := p.Store.(glassq.Schedules); ok {
		return s.SetSchedule(ctx, name, c)
	}
	return glassq.Schedule{}, glassq.ErrUnsupported
}

func (p partial) DropSchedule(ctx context.Context, name string) error {
	if s, ok := p.Store.(glassq.Schedules); ok {
		return s.DropSchedule(ctx, name)
	}
	return glassq.ErrUnsupported
}

func (p partial) NextDelayed(ctx context.Context, queue string) (glassq.Delays, error) {
	if s, ok := p.Store.(glassq.Finder); ok {
		return s.NextDelayed(ctx, queue)
	}
	return glassq.Delays{}, glassq.ErrUnsupported
}

func (p partial) Keys(ctx context.Context, queue, after string, most int) ([]glassq.KeyInfo, error) {
	if k, ok := p.Store.(glassq.Keys); ok {
		return k.Keys(ctx, queue, after, most)
	}
	return nil, glassq.ErrUnsupported
}

func (p partial) ReleaseKey(ctx context.Context, queue, key string) error {
	if k, ok := p.Store.(glassq.Keys); ok {
		return k.ReleaseKey(ctx, queue, key)
	}
	return glassq.ErrUnsupported
}
