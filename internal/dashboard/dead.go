package dashboard

import (
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/glassq/glassq"
)

const (
	deadAt     = 1000 // dead tasks redriven or deleted by one call, so that others get their turn
	deadRest   = 3    // times as long as such a call took nothing is done, for the same reason
	maxChanges = 64   // of which the progress is known
)

// filter is which dead tasks a form means.
func (v *visit) filter() glassq.DeadFilter {
	return glassq.DeadFilter{Tasks: v.r.PostForm["task"], Reason: v.r.PostFormValue("reason"), Run: v.r.PostFormValue("run")}
}

func isAll(f glassq.DeadFilter) bool { return len(f.Tasks) == 0 && f.Reason == "" && f.Run == "" }

// redrive makes dead tasks ready that a form means: as many of the oldest as it says, or all of
// them.
func (v *visit) redrive() error {
	f := v.filter()
	if text := v.r.PostFormValue("max"); text != "" {
		var err error
		if f.Max, err = strconv.Atoi(text); err != nil || f.Max < 1 || f.Max > deadAt {
			return glassq.Errorf(glassq.CodeBadRequest, "nothing was changed: %.40q is not 1 to %d", text, deadAt)
		}
	}
	return v.changeDead(v.r.PathValue("queue"), f, false)
}

// changeDead redrives or deletes the dead tasks that f means. Those that are named, or up to a number,
// are done when it returns; others are done in the background, by a few at a time. A stop of the
// server ends that; what is still dead can be asked for again.
func (v *visit) changeDead(queue string, f glassq.DeadFilter, purge bool) error {
	some, done, doing := v.store().RedriveSome, "redriven", "redriving"
	if purge {
		some, done, doing = v.store().PurgeSome, "purged", "deleting"
	}
	if len(f.Tasks) > 0 || f.Max > 0 {
		n, err := some(v.ctx(), queue, f)
		if err != nil {
			return err
		}
		return v.done(done, n)
	}
	list, err := v.store().Queues(v.ctx(), queue)
	if err != nil {
		return err
	}
	if len(list) == 0 || list[0].Dead == 0 {
		return v.done(done, 0)
	}
	life := v.opt.Life
	if life == nil {
		life = context.Background()
	}
	ctx := context.WithoutCancel(v.ctx())
	p := progress{Total: list[0].Dead, Purge: purge, Reason: f.Reason, Run: f.Run}
	err = v.changes.start(queue, p, func(left int64) (int, error) {
		began := time.Now()
		f.Max = int(min(left, deadAt))
		done, err := some(ctx, queue, f)
		if err != nil {
			return done, err
		}
		pause := time.NewTimer(deadRest * time.Since(began))
		defer pause.Stop()
		select {
		case <-pause.C:
			return done, nil
		case <-life.Done():
			return done, glassq.Errorf(glassq.CodeClosed, "the server is stopping")
		}
	})
	if err != nil {
		return err
	}
	return v.done(doing, 0)
}

// changes are those of many dead tasks: one a queue at a time, and the last one of each.
type changes struct {
	wg  sync.WaitGroup
	mu  sync.Mutex
	all map[string]*progress
}

// A progress is how far a redrive, or a deletion, of dead tasks is.
type progress struct {
	Done, Total int64 // Total: those that were dead when it began
	Over        bool
	Err         string
	Purge       bool
	Reason, Run string // of the tasks, "" for any
}

// Some tells whether only some of Total are meant.
func (p *progress) Some() bool { return p.Reason != "" || p.Run != "" }

// of is the progress of the change of a queue, nil where there was none.
func (c *changes) of(queue string) *progress {
	c.mu.Lock()
	defer c.mu.Unlock()
	if at := c.all[queue]; at != nil {
		p := *at
		return &p
	}
	return nil
}

// start begins what p says in the background by calling some again and again, unless that is under
// way. It is refused when another change of the queue is, or too many of others are. What was redriven and
// dies again does not keep it going: it ends after p.Total tasks.
func (c *changes) start(queue string, p progress, some func(left int64) (int, error)) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if at := c.all[queue]; at != nil && !at.Over {
		if at.Purge == p.Purge && at.Reason == p.Reason && at.Run == p.Run {
			return nil // two who ask for the same get it once
		}
		return glassq.Errorf(glassq.CodeUnavailable,
			"nothing was changed: another redrive or deletion of dead tasks of queue %s is under way; try again when it is over", queue)
	}
	for name, at := range c.all {
		if len(c.all) >= maxChanges && at.Over {
			delete(c.all, name)
		}
	}
	if len(c.all) >= maxChanges {
		return glassq.Errorf(glassq.CodeUnavailable, "nothing was changed: %d redrives are under way already; try again later", maxChanges)
	}
	at := &p
	c.all[queue] = at
	c.wg.Go(func() {
		for left := p.Total; ; {
			n, err := some(left)
			left -= int64(n)
			c.mu.Lock()
			at.Done += int64(n)
			if at.Over = err != nil || n == 0 || left <= 0; err != nil {
				at.Err = err.Error()
			}
			over := at.Over
			c.mu.Unlock()
			if over {
				return
			}
		}
	})
	return nil
}
