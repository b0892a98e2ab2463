package main

import (
	"github.com/glassq/glassq/client"
	"github.com/glassq/glassq/internal/plain"
	"github.com/spf13/cobra"
)

func (a *app) runsCancelCmd() *cobra.Command {
	var r remote
	var asJSON bool
	cmd := &cobra.Command{
		Use: "cancel RUN", Short: "End the tasks of a run that nobody works on, and seal it",
		Long: `End the delayed and ready tasks of a run: they are dead, cancelled. Leased ones finish. The run is sealed:
nothing more can be dispatched to it.`,
		Example: `  glassq runs cancel r1`,
		Args:    arguments(1, 1),
	}
	r.flags(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return a.oneShot(cmd, &r, func(q *client.Client) error {
			n, err := q.CancelRun(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if asJSON {
				return a.printJSON(map[string]any{"run": args[0], "cancelled": n})
			}
			return a.printf("%s: %s cancelled\n", args[0], plain.Plural(uint64(n), "task", "tasks"))
		})
	}
	return cmd
}
