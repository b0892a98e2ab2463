package output

import (
	"context"
	"time"

	"github.com/glassq/glassq/internal/plain"
)

const (
	tellEvery = 200 * time.Millisecond
	askEvery  = 2 * time.Second  // the run's total and its rate
	lookEvery = 10 * time.Second // for results that lie elsewhere
	maxNamed  = 20               // runs that are named for it
)

// tell reports progress until done is closed, and once more then.
func (o *output) tell(done <-chan struct{}) {
	if o.opt.Progress == nil {
		return
	}
	t := time.NewTicker(tellEvery)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			o.opt.Progress(o.tally.summary())
		case <-done:
			o.opt.Progress(o.tally.summary())
			return
		}
	}
}

// watch asks now and then for what is only shown, until ctx is done: the total of the run and the
// rate that its queue is set to; or, without a run, whether results of others lie elsewhere.
func (o *output) watch(ctx context.Context) {
	every, look := askEvery, o.ask
	if o.opt.Run == "" {
		every, look = lookEvery, o.elsewhere()
	}
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		look(ctx)
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
	}
}

// ask learns the total of the run and the rate of its queue. A figure that cannot be had now is
// asked for again.
func (o *output) ask(ctx context.Context) {
	o.tally.mu.Lock()
	total, tasks := o.tally.total, o.tasks
	o.tally.mu.Unlock()
	if total == 0 {
		if rec, err := o.q.Run(ctx, o.opt.Run); err == nil {
			o.know(rec)
			tasks = rec.Queue
		}
	}
	if tasks == "" {
		return
	}
	if info, err := o.q.Queues(ctx, tasks); err == nil && len(info) == 1 {
		o.tally.ask(time.Now(), info[0].Settings.Rate)
	}
}

// elsewhere returns what names, once each, the runs whose results wait in another queue.
func (o *output) elsewhere() func(context.Context) {
	named := make(map[string]bool)
	return func(ctx context.Context) {
		if o.opt.Notify == nil || len(named) > maxNamed {
			return
		}
		runs, err := o.q.Runs(ctx)
		if err != nil {
			return
		}
		for i := range runs {
			r := &runs[i]
			if r.Results == o.queue || r.Waiting == 0 || named[r.Name] {
				continue
			}
			if named[r.Name] = true; len(named) > maxNamed {
				o.say("more runs have results in queues of their own; glassq runs ls lists them")
				return
			}
			o.say("run %s: %s waiting in queue %s, not in %s; take them with glassq output --run %s",
				r.Name, plain.Plural(r.Waiting, "result", "results"), r.Results, o.queue, r.Name)
		}
	}
}
