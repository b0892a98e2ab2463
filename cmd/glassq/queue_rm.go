package main

import (
	"context"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/client"
	"github.com/spf13/cobra"
)

func (a *app) queueRmCmd() *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:   "rm QUEUE",
		Short: "Remove a queue with its tasks, settings and books",
		Long: `Remove a queue: its delayed, ready and dead tasks end for good, and its settings and books are forgotten.
While a task of it is leased it is refused. It says how many tasks there are and asks; where nobody can be
asked it needs --force. A queue without tasks is removed without a question.`,
		Example: `  glassq queue rm mails
  glassq queue rm mails --force`,
		Args: arguments(1, 1),
	}
	cmd.Flags().BoolVar(&force, "force", false, "do not ask")
	return a.asks(cmd, "print JSON", func(ctx context.Context, q *client.Client, args []string, asJSON bool) error {
		if err := glassq.CheckName(args[0]); err != nil {
			return err
		}
		if !force {
			states := []glassq.State{glassq.Delayed, glassq.Ready, glassq.Dead}
			if err := a.mayEnd(cmd, q, args[0], states, false, "not removed"); err != nil {
				return err
			}
		}
		if err := q.Drop(ctx, args[0]); err != nil {
			return err
		}
		return a.answer(asJSON, map[string]any{"queue": args[0], "removed": true}, "%s: removed", args[0])
	})
}
