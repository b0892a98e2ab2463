package main

import (
	"context"
	"slices"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/client"
	"github.com/glassq/glassq/internal/envelope"
	"github.com/glassq/glassq/internal/plain"
	"github.com/glassq/glassq/internal/report"
	"github.com/spf13/cobra"
)

// eachPeeked calls fn for up to most tasks of a state, oldest first; most 0 is all. Pages are as
// large as bodies allow.
func eachPeeked(ctx context.Context, q *client.Client, queue string, state glassq.State, most int,
	fn func(*glassq.Peeked) error) error {
	const pageBytes = 8 << 20
	page, cursor := 16, uint64(0)
	for n := 0; most == 0 || n < most; {
		if most > 0 {
			page = min(page, most-n)
		}
		tasks, next, err := q.Peek(ctx, queue, state, cursor, page)
		if err != nil {
			return err
		}
		size := 1
		for i := range tasks {
			if err := fn(&tasks[i]); err != nil {
				return err
			}
			size += len(tasks[i].Body)
		}
		if next == 0 {
			return nil
		}
		n += len(tasks)
		cursor = next
		page = max(1, min(1000, 4*page, pageBytes*len(tasks)/size))
	}
	return nil
}

func parseStates(texts []string) ([]glassq.State, error) {
	var states []glassq.State
	for _, text := range texts {
		s, err := glassq.ParseState(text)
		if err != nil {
			return nil, usagef("--state: %w", err)
		}
		if !slices.Contains(states, s) {
			states = append(states, s)
		}
	}
	return states, nil
}

func (a *app) queuePeekCmd() *cobra.Command {
	var text string
	var count int
	cmd := &cobra.Command{
		Use:   "peek QUEUE",
		Short: "Look at tasks of a queue without taking them",
		Example: `  glassq queue peek tasks
  glassq queue peek tasks --state dead -n 100 --json`,
		Args: arguments(1, 1),
	}
	fs := cmd.Flags()
	fs.StringVar(&text, "state", "ready", "which: ready, delayed, leased or dead")
	fs.IntVarP(&count, "count", "n", 20, "how many at most; 0 all")
	return a.asks(cmd, "print one JSON object per task", func(ctx context.Context, q *client.Client, args []string, asJSON bool) error {
		states, err := parseStates([]string{text})
		if err != nil {
			return err
		}
		if count < 0 {
			return usagef("-n %d is negative", count)
		}
		each := func(one func(*glassq.Peeked) error) error { return eachPeeked(ctx, q, args[0], states[0], count, one) }
		if asJSON {
			return each(func(p *glassq.Peeked) error {
				_, err := a.data().Write(append(envelope.AppendPeeked(nil, p), '\n'))
				return err
			})
		}
		return lister[glassq.Peeked]{each: each, head: "ID\tAGE\tTRIES\tPRIORITY\tDUE\tBODY", row: func(p *glassq.Peeked) []any {
			due := ""
			if p.Due > 0 {
				due = report.Short(p.Due)
			}
			body := glance(p.Body)
			if p.Reason != "" {
				body += "   (" + glance([]byte(p.Reason)) + ")"
			}
			if said := p.Progress.String(); said != "" {
				body += "   [" + glance([]byte(said)) + "]"
			}
			return []any{glance([]byte(p.TaskID())), report.Short(p.Age), p.Attempt, p.Priority.Level(), due, body}
		}}.print(a, false)
	})
}

// glance is the beginning of a text on one line.
func glance(b []byte) string { return plain.Short(b, 80) }
