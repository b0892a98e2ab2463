package main

import (
	"github.com/glassq/glassq"
	"github.com/glassq/glassq/client"
	"github.com/spf13/cobra"
)

func (a *app) queueRmCmd() *cobra.Command {
	var r remote
	var force, asJSON bool
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
	r.flags(cmd)
	cmd.Flags().BoolVar(&force, "force", false, "do not ask")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := glassq.CheckName(args[0]); err != nil {
			return err
		}
		return a.oneShot(cmd, &r, func(q *client.Client) error {
			if !force {
				states := []glassq.State{glassq.Delayed, glassq.Ready, glassq.Dead}
				if err := a.mayEnd(cmd, q, args[0], states, false, "not removed"); err != nil {
					return err
				}
			}
			if err := q.Drop(cmd.Context(), args[0]); err != nil {
				return err
			}
			if asJSON {
				return a.printJSON(map[string]any{"queue": args[0], "removed": true})
			}
			return a.printf("%s: removed\n", args[0])
		})
	}
	return cmd
}
