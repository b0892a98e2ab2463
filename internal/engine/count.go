package engine

import (
	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/state"
)

// A counted name is one that a call is about to make.
type counted struct {
	what, flag string
	there, may int // how many there are, and may be
	made       map[string]struct{}
	past       *state.State // the runs whose time is over there go when there is a new one; nil for queues
}

// make notes a name that is not there yet, and refuses one too many.
func (c *counted) make(name string) error {
	if c.made == nil {
		c.made = map[string]struct{}{}
	}
	c.made[name] = struct{}{}
	if c.there+len(c.made) > c.may && c.past != nil {
		c.there, c.past = c.there-c.past.PastRuns(), nil
	}
	if c.there+len(c.made) > c.may {
		return glassq.Errorf(glassq.CodeQuota, "there are %d %s, and no more than %d may be there (serve %s)", c.there, c.what,
			c.may, c.flag)
	}
	return nil
}

// mayMake refuses what would make more queues or runs than there may be. run is what tasks without
// a run join. The caller holds mu.
func (e *Engine) mayMake(tasks []glassq.Task, run string) error {
	queues := counted{what: "queues", flag: "--max-queues", there: e.st.QueueCount(), may: e.opt.MaxQueues}
	runs := counted{what: "runs", flag: "--max-runs", there: e.st.RunCount(), may: e.opt.MaxRuns, past: e.st}
	queue := ""
	for i := range tasks {
		t := &tasks[i]
		if t.Queue != queue {
			if queue = t.Queue; e.st.Queue(queue) == nil {
				if err := queues.make(queue); err != nil {
					return err
				}
			}
		}
		if t.Run != run {
			if run = t.Run; run != "" && e.st.Run(run) == nil {
				if err := runs.make(run); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// mayMakeQueue is mayMake of one queue.
func (e *Engine) mayMakeQueue(name string) error {
	return e.mayMake([]glassq.Task{{Queue: name}}, "")
}

// mayMakeOfAck is mayMake of what an ack puts, whose lease is d.
func (e *Engine) mayMakeOfAck(a *glassq.Ack, d *state.Leased) error {
	if a.Result != nil {
		name := a.Result.Queue
		if name == "" {
			name = d.Result
		}
		if err := e.mayMakeQueue(name); err != nil {
			return err
		}
	}
	if len(a.Put) == 0 {
		return nil
	}
	return e.mayMake(a.Put, d.Run)
}
