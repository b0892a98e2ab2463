package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/client"
	"github.com/spf13/cobra"
)

func (a *app) explainCmd() *cobra.Command {
	var queue string
	cmd := &cobra.Command{
		Use:   "explain QUEUE|RUN|TASK",
		Short: "Say why a queue, a run or a task is as it is",
		Long: `Say why a queue, a run or a task is as it is: what it waits for, who has it, and the command that helps.

Where a queue and a run have the name, both are explained. A task is named by RUN/N, by the token of its lease, or with --queue by its id.`,
		Example: `  glassq explain tasks
  glassq explain r1
  glassq explain r1/4711
  glassq explain '~812' --queue tasks`,
		Args: arguments(1, 1),
	}
	cmd.Flags().StringVar(&queue, "queue", "", "`queue` of the task whose id is given")
	return a.asks(cmd, "print JSON", func(ctx context.Context, q *client.Client, args []string, asJSON bool) error {
		said, err := explain(ctx, q, args[0], queue)
		if err != nil {
			return err
		}
		if e, ok := said.(glassq.Explanation); ok && strings.HasPrefix(e.Of, "queue ") { // a run may have its name
			run, err := q.ExplainRun(ctx, args[0])
			if err == nil {
				err = errors.Join(a.printExplanation(said, asJSON), a.printExplanation(run, asJSON))
			}
			if !errors.Is(err, glassq.ErrNotFound) && glassq.CodeOf(err) != glassq.CodeForbidden {
				return err
			}
		}
		return a.printExplanation(said, asJSON)
	})
}

// explain asks for what name may be: a task of queue if that is given, else a queue, a run, or a
// task. It returns a glassq.Explanation or a glassq.Whereabouts.
func explain(ctx context.Context, q *client.Client, name, queue string) (any, error) {
	if queue != "" {
		return q.ExplainTask(ctx, glassq.Find{Queue: queue, ID: name})
	}
	if run, n, ok := glassq.ParseDenseID(name); ok {
		return q.ExplainTask(ctx, glassq.Find{Run: run, Position: n, Dense: true})
	}
	if err := glassq.CheckName(name); err != nil {
		return nil, glassq.Errorf(glassq.CodeOf(err), "%w; a task is named by RUN/N, by a token, or with --queue by its id", err)
	}
	e, err := q.ExplainQueue(ctx, name)
	if !errors.Is(err, glassq.ErrNotFound) {
		return e, err
	}
	if e, err = q.ExplainRun(ctx, name); !errors.Is(err, glassq.ErrNotFound) {
		return e, err
	}
	if t, err := glassq.ParseToken(name); err == nil {
		return q.ExplainTask(ctx, glassq.Find{Queue: t.Queue, Lease: t.Number})
	}
	return nil, glassq.Errorf(glassq.CodeNotFound, "there is no queue and no run %s; glassq queue ls and glassq runs ls list them",
		name)
}

func (a *app) printExplanation(said any, asJSON bool) error {
	if asJSON {
		return a.printJSON(said)
	}
	var err error
	to := a.text()
	line := func(text string) {
		if err == nil && text != "" {
			_, err = fmt.Fprintln(to, text)
		}
	}
	switch e := said.(type) {
	case glassq.Explanation:
		line(e.Of + ": " + e.Text)
		for _, c := range e.Causes {
			if c.Do != "" {
				line("  " + c.Cause + ": " + c.Do)
			}
		}
	case glassq.Whereabouts:
		line(e.Text)
		if e.Do != "" {
			line("  " + e.Do)
		}
	}
	return err
}
