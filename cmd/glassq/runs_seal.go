package main

import (
	"context"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/client"
	"github.com/spf13/cobra"
)

func (a *app) runsSealCmd() *cobra.Command {
	var total uint64
	cmd := &cobra.Command{
		Use:   "seal RUN",
		Short: "Say that nothing more is put to a run, so that it can be complete",
		Long: `Say that nothing more is put to a run: it is complete when nothing of it is pending, and what waits for its
end goes on. A dispatch does so by itself after its last put; this is for one that never came so far, and for
runs whose tasks were put by other programs. Without --total it is sealed with what was put so far.`,
		Example: `  glassq runs seal r1
  glassq runs seal r1 --total 1000`,
		Args: arguments(1, 1),
	}
	cmd.Flags().Uint64Var(&total, "total", 0, "how many tasks it has; 0 is as many as were put")
	return a.asks(cmd, "print JSON", func(ctx context.Context, q *client.Client, args []string, asJSON bool) error {
		run, err := q.Run(ctx, args[0])
		if err != nil {
			return err
		}
		if total == 0 {
			total = run.Books.Put
		}
		if total < run.Books.Put {
			return usagef("--total %d is less than the %d tasks that were put to run %s", total, run.Books.Put, run.Name)
		}
		if run, err = q.SetRun(ctx, run.Name, glassq.RunChange{Sealed: true, Total: total}); err != nil {
			return err
		}
		return a.showRun(&run, asJSON)
	})
}
