package process

import (
	"context"
	"log/slog"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/worker"
)

// sayAgain is when what found no room is said again.
const sayAgain = time.Second

// tell says what a process of the command said of its task, and waits for room for it. Its error is
// the process's own mistake; ctx ends it, and a queue that does not answer is left for the next time.
func tell(ctx context.Context, log *slog.Logger, l *glassq.Lease, r *worker.Reply, x *glassq.Extend) error {
	for first := true; ; first = false {
		err := r.Extend(ctx, x.Progress, x.Put...)
		switch {
		case err == nil || ctx.Err() != nil:
			return nil
		case glassq.CodeOf(err) == glassq.CodeQueueFull, glassq.CodeOf(err) == glassq.CodeStorageFull,
			glassq.CodeOf(err) == glassq.CodeQuota:
			if first {
				log.Warn("no room for what a task says of itself, waiting", "task", l.TaskID(), "err", err)
			}
		case glassq.CodeOf(err) == glassq.CodeBadRequest, glassq.CodeOf(err) == glassq.CodeTooLarge,
			glassq.CodeOf(err) == glassq.CodeBadName, glassq.CodeOf(err) == glassq.CodeForbidden,
			glassq.CodeOf(err) == glassq.CodeSchema, glassq.CodeOf(err) == glassq.CodeRunConflict:
			return err
		default:
			log.Warn("what a task says of itself is not known to be kept", "task", l.TaskID(), "err", err)
			return nil
		}
		select {
		case <-time.After(sayAgain):
		case <-ctx.Done():
			return nil
		}
	}
}
