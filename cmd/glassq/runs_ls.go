package main

import (
	"fmt"
	"text/tabwriter"

	"github.com/glassq/glassq/client"
	"github.com/glassq/glassq/internal/plain"
	"github.com/spf13/cobra"
)

func (a *app) runsLsCmd() *cobra.Command {
	var r remote
	var asJSON bool
	cmd := &cobra.Command{Use: "ls", Short: "List runs, newest first", Example: "  glassq runs ls", Args: arguments(0, 0)}
	r.flags(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object per run")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return a.oneShot(cmd, &r, func(q *client.Client) error {
			runs, err := q.Runs(cmd.Context())
			if err != nil {
				return err
			}
			if asJSON {
				for i := range runs {
					if err := a.printJSON(&runs[i]); err != nil {
						return err
					}
				}
				return nil
			}
			w := tabwriter.NewWriter(a.text(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "RUN\tSTATE\tRESULTS\tBOOKS")
			for i := range runs {
				n := &runs[i]
				fmt.Fprintf(w, "%s\t%s\t%s waiting\t%s\n", n.Name, stateOf(n), plain.Comma(n.Waiting), booksLine(n.Books))
			}
			return w.Flush()
		})
	}
	return cmd
}
