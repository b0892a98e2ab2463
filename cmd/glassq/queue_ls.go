package main

import (
	"fmt"
	"text/tabwriter"

	"github.com/glassq/glassq/client"
	"github.com/glassq/glassq/internal/plain"
	"github.com/spf13/cobra"
)

func (a *app) queueLsCmd() *cobra.Command {
	var r remote
	var asJSON bool
	cmd := &cobra.Command{Use: "ls", Short: "List queues", Example: "  glassq queue ls", Args: arguments(0, 0)}
	r.flags(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object per queue")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return a.oneShot(cmd, &r, func(q *client.Client) error {
			queues, err := q.Queues(cmd.Context())
			if err != nil {
				return err
			}
			if asJSON {
				for i := range queues {
					if err := a.printJSON(&queues[i]); err != nil {
						return err
					}
				}
				return nil
			}
			w := tabwriter.NewWriter(a.text(), 0, 0, 2, ' ', tabwriter.AlignRight)
			fmt.Fprintln(w, "READY\tDELAYED\tLEASED\tDEAD\tPUT\tOK\tFAILED\tWAITERS\t  QUEUE")
			for i := range queues {
				n := &queues[i]
				name := n.Name
				if n.Settings.Paused {
					name += " (paused)"
				}
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d\t  %s\n", plain.Comma(uint64(n.Ready)),
					plain.Comma(uint64(n.Delayed)),
					plain.Comma(uint64(n.Leased)), plain.Comma(uint64(n.Dead)), plain.Comma(n.Books.Put),
					plain.Comma(n.Books.OK), plain.Comma(n.Books.Failed), n.Waiters, name)
			}
			return w.Flush()
		})
	}
	return cmd
}
