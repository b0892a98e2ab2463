package main

import (
	"github.com/glassq/glassq"
	"github.com/glassq/glassq/client"
	"github.com/spf13/cobra"
)

// deadFlags say which dead tasks of a queue are meant.
type deadFlags struct{ glassq.DeadFilter }

func (f *deadFlags) flags(cmd *cobra.Command, count string) {
	fs := cmd.Flags()
	fs.StringArrayVar(&f.Tasks, "task", nil, "the dead `task` of this id: ~NUMBER, RUN/N, or its own; may be repeated")
	fs.StringVar(&f.Why, "why", "", "dead tasks whose tries were used up (attempts), or that a worker gave up (nacked)")
	fs.StringVar(&f.Reason, "reason", "", "dead tasks whose reason has this `text`")
	fs.StringVar(&f.Run, "run", "", "dead tasks of this run")
	fs.IntVarP(&f.Max, "count", "n", 0, count)
}

// given tells whether any of the flags was.
func (f *deadFlags) given(cmd *cobra.Command) (bool, error) {
	if f.Max < 0 {
		return false, usagef("-n %d is negative", f.Max)
	}
	fs, any := cmd.Flags(), false
	for _, name := range []string{"task", "why", "reason", "run"} {
		any = any || fs.Changed(name)
	}
	switch f.Why {
	case "", glassq.DeadAttempts, glassq.DeadNacked:
	default:
		return false, usagef("--why %q is not one of attempts, nacked", f.Why)
	}
	return any || fs.Changed("count"), nil
}

// redrive makes dead tasks ready, those that some chooses or all.
func (f *deadFlags) redrive(cmd *cobra.Command, q *client.Client, queue string, some bool) (int, error) {
	if some {
		return q.RedriveSome(cmd.Context(), queue, f.DeadFilter)
	}
	return q.Redrive(cmd.Context(), queue, 0)
}
