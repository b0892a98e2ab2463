package main

import (
	"context"
	"slices"

	"github.com/glassq/glassq/client"
	"github.com/spf13/cobra"
)

func (a *app) runsRmCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rm RUN…",
		Short: "Forget runs that are over, and their books",
		Long: `Forget runs, their books and their positions; a run of that name begins anew. Only a run that is over goes: it
is sealed, nothing of it is pending, its results are taken, and none of its tasks is kept as dead. Otherwise it
is refused, and says what is still there and which command ends it. A run that was retried goes together with its
retries, or after them. Its queue of results stays: glassq queue rm.`,
		Example: `  glassq runs rm r1
  glassq runs rm r1 r1.2 r1.3`,
		Args: arguments(1, -1),
	}
	return a.asks(cmd, "print one JSON object per run", func(ctx context.Context, q *client.Client, args []string, asJSON bool) error {
		var retries, firsts []string
		for _, name := range args {
			run, err := q.Run(ctx, name)
			switch {
			case err != nil:
				return err
			case slices.Contains(retries, name), slices.Contains(firsts, name):
			case run.RetryOf != "":
				retries = append(retries, name)
			default:
				firsts = append(firsts, name)
			}
		}
		for _, name := range append(retries, firsts...) {
			err := q.DropRun(ctx, name)
			if err == nil {
				err = a.answer(asJSON, map[string]any{"run": name, "removed": true}, "%s: removed", name)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}
