package main

import (
	"context"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/client"
	"github.com/glassq/glassq/internal/plain"
	"github.com/glassq/glassq/internal/report"
	"github.com/spf13/cobra"
)

func (a *app) runsLsCmd() *cobra.Command {
	cmd := &cobra.Command{Use: "ls", Short: "List runs, newest first", Example: "  glassq runs ls", Args: arguments(0, 0)}
	return a.asks(cmd, "print one JSON object per run", func(ctx context.Context, q *client.Client, _ []string, asJSON bool) error {
		runs, err := q.Runs(ctx)
		if err != nil {
			return err
		}
		return lister[glassq.Run]{each: eachOf(runs), head: "RUN\tSTATE\tRESULTS\tBOOKS", row: func(n *glassq.Run) []any {
			return []any{n.Name, stateOf(n), plain.Comma(n.Waiting) + " waiting", report.BooksLine(n.Books)}
		}}.print(a, asJSON)
	})
}
