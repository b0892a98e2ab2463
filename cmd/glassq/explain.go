package main

import (
	"context"
	"errors"
	"fmt"

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

Where a queue and a run have the name, both are explained. A task is named by RUN/N, by the token of its
lease, or with --queue by its id.`,
		Example: `  glassq explain tasks
  glassq explain r1
  glassq explain r1/4711
  glassq explain '~812' --queue tasks`,
		Args: arguments(1, 1),
	}
	cmd.Flags().StringVar(&queue, "queue", "", "`queue` of the task whose id is given")
	return a.asks(cmd, "print JSON", func(ctx context.Context, q *client.Client, args []string, asJSON bool) error {
		all, err := explain(ctx, q, args[0], queue)
		for i := 0; err == nil && i < len(all); i++ {
			err = a.printExplanation(all[i], asJSON)
		}
		return err
	})
}

// explain asks for what name may be: a task of queue if that is given, else a queue, a run, both, or a
// task. Each of them is a glassq.Explanation or a glassq.Whereabouts.
func explain(ctx context.Context, q *client.Client, name, queue string) (all []any, err error) {
	task := func(f glassq.Find) ([]any, error) {
		said, err := q.ExplainTask(ctx, f)
		return []any{said}, err
	}
	if queue != "" {
		return task(glassq.Find{Queue: queue, ID: name})
	}
	if run, n, ok := glassq.ParseDenseID(name); ok {
		return task(glassq.Find{Run: run, Position: n, Dense: true})
	}
	if err := glassq.CheckName(name); err != nil {
		return nil, glassq.Errorf(glassq.CodeOf(err), "%w; a task is named by RUN/N, by a token, or with --queue by its id", err)
	}
	for _, ask := range []func(context.Context, string) (glassq.Explanation, error){q.ExplainQueue, q.ExplainRun} {
		said, err := ask(ctx, name)
		if err == nil {
			all = append(all, said)
		} else if !errors.Is(err, glassq.ErrNotFound) {
			return all, err
		}
	}
	if len(all) > 0 {
		return all, nil
	}
	if t, err := glassq.ParseToken(name); err == nil {
		return task(glassq.Find{Queue: t.Queue, Lease: t.Number})
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
