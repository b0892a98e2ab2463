package main

import (
	"github.com/glassq/glassq/client"
	"github.com/glassq/glassq/internal/report"
	"github.com/spf13/cobra"
)

func (a *app) queueRedriveCmd() *cobra.Command {
	var r remote
	var count int
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "redrive QUEUE",
		Short: "Make dead tasks of a queue ready again",
		Example: `  glassq queue redrive tasks
  glassq queue redrive tasks -n 10`,
		Args: arguments(1, 1),
	}
	r.flags(cmd)
	fs := cmd.Flags()
	fs.IntVarP(&count, "count", "n", 0, "how many at most, oldest first; 0 all")
	fs.BoolVar(&asJSON, "json", false, "print JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if count < 0 {
			return usagef("-n %d is negative", count)
		}
		return a.oneShot(cmd, &r, func(q *client.Client) error {
			n, err := q.Redrive(cmd.Context(), args[0], count)
			if err != nil {
				return err
			}
			if asJSON {
				return a.printJSON(map[string]any{"queue": args[0], "redriven": n})
			}
			return a.printf("%s: %s redriven\n", args[0], report.Plural(uint64(n), "task", "tasks"))
		})
	}
	return cmd
}
