package main

import (
	"context"

	"github.com/glassq/glassq/client"
	"github.com/glassq/glassq/internal/plain"
	"github.com/spf13/cobra"
)

func (a *app) runsCancelCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use: "cancel RUN", Short: "End the tasks of a run that nobody works on, and seal it",
		Long: `End the delayed and ready tasks of a run: they are dead, cancelled. Leased ones finish. The run is sealed:
nothing more can be dispatched to it.`,
		Example: `  glassq runs cancel r1`,
		Args:    arguments(1, 1),
	}
	return a.asks(cmd, "print JSON", func(ctx context.Context, q *client.Client, args []string, asJSON bool) error {
		n, err := q.CancelRun(ctx, args[0])
		if err != nil {
			return err
		}
		return a.answer(asJSON, map[string]any{"run": args[0], "cancelled": n}, "%s: %s cancelled", args[0], plain.Plural(n, "task", "tasks"))
	})
}
