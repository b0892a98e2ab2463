package main

import (
	"context"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/client"
	"github.com/glassq/glassq/internal/plain"
	"github.com/glassq/glassq/internal/report"
	"github.com/spf13/cobra"
)

func (a *app) runsShowCmd() *cobra.Command {
	cmd := &cobra.Command{Use: "show RUN", Short: "Show a run", Example: "  glassq runs show r1", Args: arguments(1, 1)}
	return a.asks(cmd, "print JSON", func(ctx context.Context, q *client.Client, args []string, asJSON bool) error {
		run, err := q.Run(ctx, args[0])
		if err != nil {
			return err
		}
		return a.showRun(&run, asJSON)
	})
}

func (a *app) showRun(n *glassq.Run, asJSON bool) error {
	if asJSON {
		return a.printJSON(n)
	}
	w := tabwriter.NewWriter(a.text(), 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "run\t%s, %s\n", n.Name, stateOf(n))
	fmt.Fprintf(w, "books\t%s\n", report.BooksLine(n.Books))
	if n.Progress.Tasks > 0 {
		fmt.Fprintf(w, "progress\t%s\n", n.Progress)
	}
	if n.RetryOf != "" {
		fmt.Fprintf(w, "retry of\t%s\n", n.RetryOf)
	}
	if n.Job != nil {
		fmt.Fprintf(w, "job\t%s\n", report.FormatJob(n.Job))
	}
	if n.Rate > 0 || n.Stages != "" {
		fmt.Fprintf(w, "rate\t%s, %s given up\n", rateLine(glassq.Settings{Rate: n.Rate, Stages: n.Stages}),
			plain.Plural(n.GivenUp, "moment", "moments"))
	}
	fmt.Fprintf(w, "results\t%s in queue %s\n", plain.Comma(n.Waiting), n.Results)
	if n.Queue != "" {
		fmt.Fprintf(w, "queue\t%s\n", n.Queue)
	}
	if n.Source != "" {
		fmt.Fprintf(w, "source\t%s\n", plain.Text([]byte(n.Source)))
	}
	for _, r := range n.Readers {
		fmt.Fprintf(w, "read into\t%s\n", plain.Text([]byte(r)))
	}
	fmt.Fprintf(w, "made\t%s\n", n.Created.Local().Format(time.DateTime))
	if !n.Ended.IsZero() {
		fmt.Fprintf(w, "ended\t%s, after %s\n", n.Ended.Local().Format(time.DateTime), report.Short(n.Ended.Sub(n.Created)))
	}
	return w.Flush()
}

func stateOf(n *glassq.Run) string {
	switch {
	case n.Complete && n.Waiting == 0:
		return "drained"
	case n.Complete:
		return "complete"
	case n.Sealed:
		return "sealed with " + plain.Comma(n.Total)
	}
	return "open"
}
