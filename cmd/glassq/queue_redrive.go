package main

import (
	"github.com/glassq/glassq/client"
	"github.com/glassq/glassq/internal/plain"
	"github.com/spf13/cobra"
)

func (a *app) queueRedriveCmd() *cobra.Command {
	var r remote
	var f deadFlags
	var asJSON bool
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
	r.flags(cmd)
	f.flags(cmd, "how many at most, oldest first; 0 all")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		some, err := f.given(cmd)
		if err != nil {
			return err
		}
		return a.oneShot(cmd, &r, func(q *client.Client) error {
			n, err := f.redrive(cmd, q, args[0], some)
			if err != nil {
				return err
			}
			if asJSON {
				return a.printJSON(map[string]any{"queue": args[0], "redriven": n})
			}
			return a.printf("%s: %s redriven\n", args[0], plain.Plural(uint64(n), "task", "tasks"))
		})
	}
	return cmd
}
