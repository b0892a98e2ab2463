package main

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/client"
	"github.com/glassq/glassq/internal/report"
	"github.com/spf13/cobra"
)

func (a *app) runsCmd() *cobra.Command {
	return group("runs", "Show runs and their books, end them, and put again what failed",
		a.runsLsCmd(), a.runsShowCmd(), a.runsWaitCmd(), a.runsCancelCmd(), a.runsRetryCmd())
}

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
			w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "RUN\tSTATE\tRESULTS\tBOOKS")
			for i := range runs {
				n := &runs[i]
				fmt.Fprintf(w, "%s\t%s\t%s waiting\t%s\n", n.Name, stateOf(n), commas(n.Waiting), booksLine(n.Books))
			}
			return w.Flush()
		})
	}
	return cmd
}

func (a *app) runsShowCmd() *cobra.Command {
	var r remote
	var asJSON bool
	cmd := &cobra.Command{Use: "show RUN", Short: "Show a run", Example: "  glassq runs show r1", Args: arguments(1, 1)}
	r.flags(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return a.oneShot(cmd, &r, func(q *client.Client) error {
			run, err := q.Run(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return a.showRun(&run, asJSON)
		})
	}
	return cmd
}

func (a *app) runsWaitCmd() *cobra.Command {
	var r remote
	var phase string
	var timeout, retry time.Duration
	var asJSON, strict bool
	cmd := &cobra.Command{
		Use:   "wait RUN",
		Short: "Wait until a run exists, is complete, or its results are taken",
		Example: `  glassq runs wait r1 --strict
  glassq runs wait r1 --until drained --timeout 1h`,
		Args: arguments(1, 1),
	}
	r.flags(cmd)
	fs := cmd.Flags()
	fs.StringVar(&phase, "until", string(glassq.PhaseComplete), "exists, complete or drained")
	fs.DurationVar(&timeout, "timeout", -1, "how long to wait, then exit 1; negative without end")
	fs.DurationVar(&retry, "retry", 60*time.Second, "how long to wait for a server that is away")
	fs.BoolVar(&strict, "strict", false, "exit 4 when tasks failed or are dead")
	fs.BoolVar(&asJSON, "json", false, "print JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		until := glassq.Phase(phase)
		switch until {
		case glassq.PhaseExists, glassq.PhaseComplete, glassq.PhaseDrained:
		default:
			return usagef("--until %s is not one of exists, complete, drained", phase)
		}
		q, err := a.open(cmd, &r, retry)
		if err != nil {
			return err
		}
		defer q.Close()
		ctx, stop := a.interruptible("glassq runs wait", "stopping")
		defer stop()
		run, err := q.AwaitRun(ctx, args[0], until, timeout)
		if err != nil {
			return r.absent(err)
		}
		if err := a.showRun(&run, asJSON); err != nil {
			return err
		}
		switch {
		case until == glassq.PhaseComplete && !run.Complete, until == glassq.PhaseDrained && (!run.Complete || run.Waiting > 0):
			return &exitError{exitUnexpected, fmt.Errorf("run %s is not %s after %s", run.Name, phase, timeout)}
		case strict && run.Books.Failed+run.Books.Dead.Sum() > 0:
			return exit(exitStrict)
		}
		return nil
	}
	return cmd
}

func (a *app) showRun(n *glassq.Run, asJSON bool) error {
	if asJSON {
		return a.printJSON(n)
	}
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "run\t%s, %s\n", n.Name, stateOf(n))
	fmt.Fprintf(w, "books\t%s\n", booksLine(n.Books))
	fmt.Fprintf(w, "results\t%s in queue %s\n", commas(n.Waiting), n.Results)
	if n.Queue != "" {
		fmt.Fprintf(w, "queue\t%s\n", n.Queue)
	}
	if n.Source != "" {
		fmt.Fprintf(w, "source\t%s\n", n.Source)
	}
	fmt.Fprintf(w, "made\t%s\n", n.Created.Local().Format(time.DateTime))
	if !n.Ended.IsZero() {
		fmt.Fprintf(w, "ended\t%s, after %s\n", n.Ended.Local().Format(time.DateTime), brief(n.Ended.Sub(n.Created)))
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
		return "sealed with " + commas(n.Total)
	}
	return "open"
}

// booksLine is the books without what only an output can know.
func booksLine(b glassq.Books) string {
	line, _, _ := strings.Cut(report.FormatBooks(b, 0, 0), "    missing")
	return line
}
