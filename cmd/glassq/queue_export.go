package main

import (
	"bufio"
	"io"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/client"
	"github.com/glassq/glassq/internal/envelope"
	"github.com/glassq/glassq/internal/plain"
	"github.com/spf13/cobra"
)

func (a *app) queueExportCmd() *cobra.Command {
	var r remote
	var texts []string
	var out string
	cmd := &cobra.Command{
		Use:   "export QUEUE",
		Short: "Write the tasks of a queue as JSON lines, without taking them",
		Long: `Write the tasks of a queue, one a line, as queue import and dispatch --file read them: body, options, id, run
and position. Nothing is taken: pause the queue and let the workers end first when the tasks are to move, for
a task that changes its state meanwhile may be written twice or not at all. A delay and a ttl are what is left
of them. Dead tasks are written with --state dead.`,
		Example: `  glassq queue export tasks > tasks.ndjson
  glassq queue export tasks --state dead --out dead.ndjson`,
		Args: arguments(1, 1),
	}
	r.flags(cmd)
	fs := cmd.Flags()
	fs.StringSliceVar(&texts, "state", []string{"leased", "ready", "delayed"},
		"which: leased, ready, delayed or dead; may be repeated")
	fs.StringVar(&out, "out", "", "`file` for the lines, written as a whole; default standard output")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		states, err := parseStates(texts)
		if err != nil {
			return err
		}
		return a.oneShot(cmd, &r, func(q *client.Client) error {
			export := func(w io.Writer) error { return a.export(cmd, q, args[0], states, w) }
			if out != "" {
				return a.writeFile(out, export)
			}
			return export(a.data())
		})
	}
	return cmd
}

func (a *app) export(cmd *cobra.Command, q *client.Client, queue string, states []glassq.State, out io.Writer) error {
	w := bufio.NewWriterSize(out, 256<<10)
	var line []byte
	n, leased, expired := uint64(0), uint64(0), uint64(0)
	for _, state := range states {
		err := eachPeeked(cmd.Context(), q, queue, state, 0, func(p *glassq.Peeked) error {
			t := &p.Task
			t.Queue, t.Delay = "", 0
			if state == glassq.Delayed {
				t.Delay = max(p.Due, time.Millisecond)
			}
			if t.TTL > 0 && state != glassq.Dead {
				if t.TTL -= p.Age; t.TTL <= 0 {
					expired++
					return nil
				}
			}
			if state == glassq.Leased {
				leased++
			}
			n++
			line = append(envelope.AppendTask(line[:0], t), '\n')
			_, err := w.Write(line)
			return err
		})
		if err != nil {
			return err
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	a.console.Say("glassq queue export: %s of queue %s (%s)", plain.Plural(n, "task", "tasks"), queue, joinStates(states))
	if leased > 0 {
		a.console.Say("  %s of them are leased: a worker is at them", plain.Comma(leased))
	}
	if expired > 0 {
		a.console.Say("  %s more are past their ttl and were left out", plain.Comma(expired))
	}
	return nil
}
