package main

import (
	"context"
	"text/tabwriter"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/client"
	"github.com/glassq/glassq/internal/plain"
	"github.com/spf13/cobra"
)

func (a *app) queueLsCmd() *cobra.Command {
	cmd := &cobra.Command{Use: "ls", Short: "List queues", Example: "  glassq queue ls", Args: arguments(0, 0)}
	return a.asks(cmd, "print one JSON object per queue", func(ctx context.Context, q *client.Client, _ []string, asJSON bool) error {
		queues, err := q.Queues(ctx)
		if err != nil {
			return err
		}
		return lister[glassq.QueueInfo]{
			each: eachOf(queues), head: "READY\tDELAYED\tLEASED\tDEAD\tPUT\tOK\tFAILED\tWAITERS\t  QUEUE", align: tabwriter.AlignRight,
			row: func(n *glassq.QueueInfo) []any {
				name := "  " + n.Name
				if n.Settings.Paused {
					name += " (paused)"
				}
				return []any{plain.Comma(n.Ready), plain.Comma(n.Delayed), plain.Comma(n.Leased), plain.Comma(n.Dead),
					plain.Comma(n.Books.Put), plain.Comma(n.Books.OK), plain.Comma(n.Books.Failed), n.Waiters, name}
			},
		}.print(a, asJSON)
	})
}
