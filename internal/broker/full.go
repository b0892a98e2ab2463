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
	no := lacks{s}
	type keys = glassq.Keys // a field of the name of a method would hide it
	type schedules = glassq.Schedules
	return struct {
		glassq.Store
		glassq.Waits
		glassq.Copier
		glassq.Archiver
		glassq.Finder
		glassq.Lister
		keys
		schedules
	}{s, part[glassq.Waits](s, no), part[glassq.Copier](s, no), part[glassq.Archiver](s, no), part[glassq.Finder](s, no),
		part[glassq.Lister](s, no), part[keys](s, no), part[schedules](s, no)}
}

// part is what s has of a Store, or else no.
func part[T any](s glassq.Store, no T) T {
	if has, ok := s.(T); ok {
		return has
	}
	return no
}

// lacks answers for the parts that a store lacks.
type lacks struct{ s glassq.Store }

func (lacks) PutWait(context.Context, []glassq.Task, time.Duration) ([]glassq.Receipt, error) {
	return nil, glassq.ErrUnsupported
}

func (lacks) AckWait(context.Context, glassq.Ack, time.Duration) error { return glassq.ErrUnsupported }

func (l lacks) Held(ctx context.Context, queues ...string) ([]glassq.Held, error) {
	held := make([]glassq.Held, len(queues))
	for i, queue := range queues {
		all, err := l.s.Queues(ctx, queue)
		if err != nil && glassq.CodeOf(err) != glassq.CodeNotFound {
			return nil, err
		}
		for _, q := range all {
			held[i] = glassq.Held{Delayed: q.Delayed, Ready: q.Ready, Leased: q.Leased, Dead: q.Dead, Settings: q.Settings}
		}
	}
	return held, nil
}

func (lacks) AwaitIdle(context.Context, string, time.Duration) (bool, error) {
	return false, glassq.ErrUnsupported
}

func (lacks) Copy(context.Context, func(name string, size int64, r io.Reader) error) error {
	return glassq.Errorf(glassq.CodeUnsupported, "this store has no folder that can be copied: %w; take an archive of it, with glassq backup --archive", glassq.ErrUnsupported)
}

func (lacks) Archive(context.Context, io.Writer) error {
	return glassq.Errorf(glassq.CodeUnsupported, "this store cannot be archived while it is used: %w", glassq.ErrUnsupported)
}

func (lacks) Find(context.Context, glassq.Find) (glassq.Found, error) {
	return glassq.Found{}, glassq.ErrUnsupported
}

func (lacks) NextDelayed(context.Context, string) (glassq.Delays, error) {
	return glassq.Delays{}, glassq.ErrUnsupported
}

func (lacks) List(context.Context, glassq.QueueQuery) (glassq.QueueList, error) {
	return glassq.QueueList{}, glassq.ErrUnsupported
}

func (lacks) Keys(context.Context, string, string, int) ([]glassq.KeyInfo, error) {
	return nil, glassq.ErrUnsupported
}

func (lacks) ReleaseKey(context.Context, string, string) error { return glassq.ErrUnsupported }

func (lacks) Schedules(context.Context) ([]glassq.Schedule, error) { return nil, glassq.ErrUnsupported }

func (lacks) SetSchedule(context.Context, string, glassq.ScheduleChange) (glassq.Schedule, error) {
	return glassq.Schedule{}, glassq.ErrUnsupported
}

func (lacks) DropSchedule(context.Context, string) error { return glassq.ErrUnsupported }
