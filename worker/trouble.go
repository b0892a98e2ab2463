package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/lack"
)

const (
	saidFor  = time.Minute // a text is not logged again so long
	mostSaid = 20          // texts in that time
)

// trouble logs why tasks are given back, each text once a minute and at most mostSaid of them.
type trouble struct {
	mu    sync.Mutex // guards the fields below
	since time.Time
	said  map[string]bool
}

// isNew tells whether text is to be logged.
func (t *trouble) isNew(text string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if now := time.Now(); now.Sub(t.since) >= saidFor {
		t.since, t.said = now, map[string]bool{}
	}
	if t.said[text] || len(t.said) == mostSaid {
		return false
	}
	t.said[text] = true
	return true
}

// do has hd do the task of l. A panic is an error like any other, with its stack in the log.
func (w *worker) do(ctx context.Context, hd Handler, l *glassq.Lease, r *Reply) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
			w.complain(slog.LevelError, "handler panicked, task goes back", l, err, "stack", string(debug.Stack()))
		}
	}()
	err = hd.Handle(ctx, l, r)
	if err == nil || ctx.Err() != nil || lack.Of(err) != "" { // a lack is told of in strained
		return err
	}
	if ne, ok := errors.AsType[*NackError](err); !ok || !ne.Undone && ne.Lack == "" && ne.Err != nil {
		w.complain(slog.LevelWarn, "task not done, goes back", l, err)
	}
	return err
}

func (w *worker) complain(level slog.Level, msg string, l *glassq.Lease, err error, more ...any) {
	if w.trouble.isNew(err.Error()) {
		w.opt.Logger.Log(context.Background(), level, msg, append([]any{"queue", w.opt.Queue, "task", l.TaskID(), "err", err}, more...)...)
	}
}
