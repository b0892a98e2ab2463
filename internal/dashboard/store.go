package dashboard

import (
	"context"

	"github.com/glassq/glassq"
)

// A store is what pages and actions use of the broker, by a visitor who may.
type store interface {
	Queues(ctx context.Context, names ...string) ([]glassq.QueueInfo, error)
	Configure(ctx context.Context, queue string, change glassq.SettingsChange) (glassq.Settings, error)
	Peek(ctx context.Context, queue string, state glassq.State, cursor uint64, max int) ([]glassq.Peeked, uint64, error)
	Purge(ctx context.Context, queue string, states ...glassq.State) (int, error)
	Redrive(ctx context.Context, queue string, max int) (int, error)
	Runs(ctx context.Context) ([]glassq.Run, error)
	Run(ctx context.Context, name string) (glassq.Run, error)
	RunIDs(ctx context.Context, name string, set glassq.IDSet, from uint32, max int) ([]glassq.Interval, error)
	CancelRun(ctx context.Context, name string) (int, error)
	Stats(ctx context.Context) (glassq.Stats, error)
}

func (v *visit) store() store { return v.broker }
