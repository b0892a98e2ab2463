package main

import (
	"context"

	"github.com/glassq/glassq/client"
	"github.com/glassq/glassq/internal/plain"
	"github.com/spf13/cobra"
)

func (a *app) queueRedriveCmd() *cobra.Command {
	var f deadFlags
	cmd := &cobra.Command{
		Use:   "redrive QUEUE",
		Short: "Make dead tasks of a queue ready again",
		Long: `Make dead tasks of a queue ready again, their attempts counted anew: all of them, or those that agree with
every flag that is given.`,
		Example: `  glassq queue redrive tasks
  glassq queue redrive tasks -n 10
  glassq queue redrive tasks --task r1/17 --task '~4711'
  glassq queue redrive tasks --run r1 --reason 'no such host'`,
		Args: arguments(1, 1),
	}
	f.flags(cmd, "how many at most, oldest first; 0 all")
	return a.asks(cmd, "print JSON", func(ctx context.Context, q *client.Client, args []string, asJSON bool) error {
		some, err := f.given(cmd)
		if err != nil {
			return err
		}
		n, err := f.redrive(cmd, q, args[0], some)
		if err != nil {
			return err
		}
		return a.answer(asJSON, map[string]any{"queue": args[0], "redriven": n}, "%s: %s redriven", args[0], plain.Plural(n, "task", "tasks"))
	})
}
