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

func (a *app) queueShowCmd() *cobra.Command {
	cmd := &cobra.Command{Use: "show QUEUE", Short: "Show a queue", Example: "  glassq queue show tasks",
		Args: arguments(1, 1)}
	return a.asks(cmd, "print JSON", func(ctx context.Context, q *client.Client, args []string, asJSON bool) error {
		if err := glassq.CheckName(args[0]); err != nil {
			return err
		}
		queues, err := q.Queues(ctx, args[0])
		if err != nil {
			return err
		}
		if asJSON {
			return a.printJSON(&queues[0])
		}
		return a.showQueue(&queues[0])
	})
}

func (a *app) showQueue(n *glassq.QueueInfo) error {
	w := tabwriter.NewWriter(a.text(), 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "queue\t%s\n", n.Name)
	fmt.Fprintf(w, "tasks\tready %s, delayed %s, leased %s, dead %s; %s bytes\n", plain.Comma(n.Ready),
		plain.Comma(n.Delayed), plain.Comma(n.Leased), plain.Comma(n.Dead),
		plain.Comma(n.Bytes))
	fmt.Fprintf(w, "books\t%s\n", report.BooksLine(n.Books))
	if d := n.Books.Dead; d.Sum() > 0 {
		fmt.Fprintf(w, "dead by\tattempts %s, nacked %s, expired %s, purged %s, cancelled %s\n",
			plain.Comma(d.Attempts), plain.Comma(d.Nacked), plain.Comma(d.Expired), plain.Comma(d.Purged),
			plain.Comma(d.Cancelled))
	}
	oldest := ""
	if n.Ready > 0 {
		oldest = "; the oldest ready task for " + report.Short(time.Duration(n.Oldest*float64(time.Second)))
	}
	fmt.Fprintf(w, "waiting\t%s%s\n", plain.Plural(n.Waiters, "reserve", "reserves"), oldest)
	if n.Progress.Tasks > 0 {
		fmt.Fprintf(w, "progress\t%s\n", n.Progress)
	}
	if n.Halted.Now() {
		fmt.Fprintf(w, "halted\t%s\n", n.Halted)
	}
	if n.HaltedKeys.Count > 0 {
		fmt.Fprintf(w, "halted\t%s\n", n.HaltedKeys)
	}
	fmt.Fprintf(w, "settings\t%s\n", settingsLine(n.Settings))
	return w.Flush()
}

func settingsLine(s glassq.Settings) string {
	orNone := func(v float64) string {
		if v == 0 {
			return "no limit"
		}
		return fmt.Sprintf("%.10g", v)
	}
	attempts := s.Attempts
	if attempts == 0 {
		attempts = glassq.DefaultAttempts
	}
	line := fmt.Sprintf("paused %v, rate %s, attempts %d, max-tasks %s, max-bytes %s",
		s.Paused, rateLine(s), attempts, orNone(float64(s.MaxTasks)), orNone(float64(s.MaxBytes)))
	if s.Unique != "" {
		line += fmt.Sprintf(", unique %s of %d", s.Unique, s.MostUnique())
	}
	if s.Halt != "" {
		line += ", halt " + s.Halt
		if s.HaltsKeys() {
			line += " per key"
		}
		line += ", resume "
		if s.HaltResume > 0 {
			line += time.Duration(s.HaltResume * float64(time.Second)).String()
		} else {
			line += "manual"
		}
	}
	if s.TaskSchema != "" {
		line += ", task-schema"
	}
	if s.ResultSchema != "" {
		line += ", result-schema"
	}
	if s.Opaque {
		line += ", opaque"
	}
	return line + keysLine(s)
}
