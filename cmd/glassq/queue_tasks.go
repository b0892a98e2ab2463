package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/client"
	"github.com/glassq/glassq/internal/dispatch"
	"github.com/glassq/glassq/internal/envelope"
	"github.com/spf13/cobra"
)

// eachPeeked calls fn for up to most tasks of a state, oldest first; most 0 is all. Pages are as large as
// bodies allow.
func eachPeeked(cmd *cobra.Command, q *client.Client, queue string, state glassq.State, most int, fn func(*glassq.Peeked) error) error {
	const pageBytes = 8 << 20
	page, cursor := 16, uint64(0)
	for n := 0; most == 0 || n < most; {
		if most > 0 {
			page = min(page, most-n)
		}
		tasks, next, err := q.Peek(cmd.Context(), queue, state, cursor, page)
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
	var r remote
	var text string
	var count int
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "peek QUEUE",
		Short: "Look at tasks of a queue without taking them",
		Example: `  glassq queue peek tasks
  glassq queue peek tasks --state dead -n 100 --json`,
		Args: arguments(1, 1),
	}
	r.flags(cmd)
	fs := cmd.Flags()
	fs.StringVar(&text, "state", "ready", "which: ready, delayed, leased or dead")
	fs.IntVarP(&count, "count", "n", 20, "how many at most; 0 all")
	fs.BoolVar(&asJSON, "json", false, "print one JSON object per task")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		states, err := parseStates([]string{text})
		if err != nil {
			return err
		}
		if count < 0 {
			return usagef("-n %d is negative", count)
		}
		return a.oneShot(cmd, &r, func(q *client.Client) error {
			if asJSON {
				return eachPeeked(cmd, q, args[0], states[0], count, func(p *glassq.Peeked) error {
					_, err := a.out.Write(append(envelope.AppendPeeked(nil, p), '\n'))
					return err
				})
			}
			w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "ID\tAGE\tTRIES\tPRIORITY\tDUE\tBODY")
			err := eachPeeked(cmd, q, args[0], states[0], count, func(p *glassq.Peeked) error {
				due := ""
				if p.Due > 0 {
					due = brief(p.Due)
				}
				body := glance(p.Body)
				if p.Reason != "" {
					body += "   (" + glance([]byte(p.Reason)) + ")"
				}
				_, err := fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%s\t%s\n", glance([]byte(p.TaskID())), brief(p.Age), p.Attempt, p.Priority.Level(), due, body)
				return err
			})
			return errors.Join(err, w.Flush())
		})
	}
	return cmd
}

// glance is the beginning of a text on one line.
func glance(b []byte) string {
	const most = 80
	cut := len(b) > most
	if cut {
		b = b[:most]
	}
	text := strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '·'
		}
		return r
	}, strings.ToValidUTF8(string(b), "·"))
	if cut {
		text += "…"
	}
	return text
}

func (a *app) queuePurgeCmd() *cobra.Command {
	var r remote
	var texts []string
	var force, asJSON bool
	cmd := &cobra.Command{
		Use:   "purge QUEUE",
		Short: "End tasks of a queue for good",
		Long: `End the delayed and ready tasks of a queue, or those of --state, for good. In the books they are dead,
purged; nothing brings them back. Leased ones finish. It says how many there are and asks; where nobody can
be asked it needs --force.`,
		Example: `  glassq queue purge tasks
  glassq queue purge tasks --state dead --force`,
		Args: arguments(1, 1),
	}
	r.flags(cmd)
	fs := cmd.Flags()
	fs.StringSliceVar(&texts, "state", []string{"delayed", "ready"}, "which: delayed, ready or dead; may be repeated")
	fs.BoolVar(&force, "force", false, "do not ask")
	fs.BoolVar(&asJSON, "json", false, "print JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		states, err := parseStates(texts)
		if err != nil {
			return err
		}
		if len(states) == 0 || slices.Contains(states, glassq.Leased) {
			return usagef("--state is one of delayed, ready, dead; a leased task finishes")
		}
		return a.oneShot(cmd, &r, func(q *client.Client) error {
			if !force {
				if err := a.mayPurge(cmd, q, args[0], states); err != nil {
					return err
				}
			}
			n, err := q.Purge(cmd.Context(), args[0], states...)
			if err != nil {
				return err
			}
			if asJSON {
				return a.printJSON(map[string]any{"queue": args[0], "purged": n})
			}
			return a.printf("%s: %s tasks purged\n", args[0], commas(uint64(n)))
		})
	}
	return cmd
}

// mayPurge asks on the terminal whether tasks are to be ended; nil is yes.
func (a *app) mayPurge(cmd *cobra.Command, q *client.Client, queue string, states []glassq.State) error {
	list, err := q.Queues(cmd.Context(), queue)
	if err != nil {
		return err
	}
	if len(list) != 1 {
		return glassq.Errorf(glassq.CodeNotFound, "there is no queue %s; glassq queue ls lists them", queue)
	}
	n := int64(0)
	for _, s := range states {
		n += map[glassq.State]int64{glassq.Delayed: list[0].Delayed, glassq.Ready: list[0].Ready, glassq.Dead: list[0].Dead}[s]
	}
	what := fmt.Sprintf("%s tasks of queue %s (%s)", commas(uint64(n)), queue, joinStates(states))
	if !isTerminal(a.in) {
		return usagef("%s would be ended for good, and there is nobody to ask: give --force", what)
	}
	fmt.Fprintf(a.console, "End %s for good? Type the name of the queue: ", what)
	answer, err := bufio.NewReader(a.in).ReadString('\n')
	if err != nil && err != io.EOF {
		return err
	}
	if strings.TrimSpace(answer) != queue {
		return usagef("not purged")
	}
	return nil
}

func joinStates(states []glassq.State) string {
	var names []string
	for _, s := range states {
		names = append(names, s.String())
	}
	return strings.Join(names, ", ")
}

func (a *app) queueRedriveCmd() *cobra.Command {
	var r remote
	var count int
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "redrive QUEUE",
		Short: "Make dead tasks of a queue ready again",
		Example: `  glassq queue redrive tasks
  glassq queue redrive tasks -n 10`,
		Args: arguments(1, 1),
	}
	r.flags(cmd)
	fs := cmd.Flags()
	fs.IntVarP(&count, "count", "n", 0, "how many at most, oldest first; 0 all")
	fs.BoolVar(&asJSON, "json", false, "print JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if count < 0 {
			return usagef("-n %d is negative", count)
		}
		return a.oneShot(cmd, &r, func(q *client.Client) error {
			n, err := q.Redrive(cmd.Context(), args[0], count)
			if err != nil {
				return err
			}
			if asJSON {
				return a.printJSON(map[string]any{"queue": args[0], "redriven": n})
			}
			return a.printf("%s: %s tasks redriven\n", args[0], commas(uint64(n)))
		})
	}
	return cmd
}

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
	fs.StringSliceVar(&texts, "state", []string{"leased", "ready", "delayed"}, "which: leased, ready, delayed or dead; may be repeated")
	fs.StringVar(&out, "out", "", "`file` for the lines, written as a whole; default standard output")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		states, err := parseStates(texts)
		if err != nil {
			return err
		}
		return a.oneShot(cmd, &r, func(q *client.Client) error {
			export := func(w io.Writer) error { return a.export(cmd, q, args[0], states, w) }
			if out != "" {
				return writeFile(out, export)
			}
			return export(a.out)
		})
	}
	return cmd
}

func (a *app) export(cmd *cobra.Command, q *client.Client, queue string, states []glassq.State, out io.Writer) error {
	w := bufio.NewWriterSize(out, 256<<10)
	var line []byte
	n, leased, expired := uint64(0), uint64(0), uint64(0)
	for _, state := range states {
		err := eachPeeked(cmd, q, queue, state, 0, func(p *glassq.Peeked) error {
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
	a.console.say("glassq queue export: %s tasks of queue %s (%s)", commas(n), queue, joinStates(states))
	if leased > 0 {
		a.console.say("  %s of them are leased: a worker is at them", commas(leased))
	}
	if expired > 0 {
		a.console.say("  %s more are past their ttl and were left out", commas(expired))
	}
	return nil
}

func (a *app) queueImportCmd() *cobra.Command {
	var r remote
	var file string
	var retry time.Duration
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "import QUEUE",
		Short: "Put the tasks that queue export wrote",
		Long: `Put tasks that queue export wrote, from standard input or --file, into a queue. They keep their ids, runs and
positions, so that the same import again stores none of them twice: positions are remembered with their run,
other ids for 10 minutes or 1,000,000 ids. Runs are continued as they are here; nothing seals them.`,
		Example: `  glassq queue import tasks --file tasks.ndjson
  glassq queue export tasks | glassq queue import tasks --server http://10.0.0.7:5080`,
		Args: arguments(1, 1),
	}
	r.flags(cmd)
	fs := cmd.Flags()
	fs.StringVar(&file, "file", "", "`file` with the tasks; default standard input")
	fs.DurationVar(&retry, "retry", 60*time.Second, "how long to wait for a server that is away")
	fs.BoolVar(&asJSON, "json", false, "print what was done as JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := glassq.CheckName(args[0]); err != nil {
			return err
		}
		in, name := a.in, "standard input"
		switch {
		case file != "" && file != "-":
			f, err := os.Open(file)
			if err != nil {
				return usagef("read the tasks: %w", err)
			}
			defer f.Close()
			in, name = f, file
		case isTerminal(a.in):
			return usagef("nothing to import: give --file F, or lines on standard input")
		}
		q, err := a.open(cmd, &r, retry)
		if err != nil {
			return err
		}
		defer q.Close()
		put, again, err := importTasks(cmd, q, args[0], dispatch.NewTasks(in))
		if err != nil {
			a.console.say("glassq queue import: put %s so far; the same command again goes on", commas(put))
			if _, ok := errors.AsType[*dispatch.LineError](err); ok {
				return usagef("%s: %w", name, err)
			}
			return r.absent(err)
		}
		if asJSON {
			return a.printJSON(map[string]any{"queue": args[0], "put": put, "duplicates": again})
		}
		text := fmt.Sprintf("%s: %s put", args[0], plural(put, "task", "tasks"))
		if again > 0 {
			text += fmt.Sprintf(", %s were there before", commas(again))
		}
		return a.printf("%s\n", text)
	}
	return cmd
}

// importTasks puts tasks into queue and returns how many it put, and how many were there before.
func importTasks(cmd *cobra.Command, q *client.Client, queue string, in *dispatch.Tasks) (put, again uint64, err error) {
	batch := make([]glassq.Task, 2000)
	for {
		n, rerr := in.Next(batch)
		for i := range batch[:n] {
			batch[i].Queue = queue
		}
		if n > 0 {
			receipts, err := q.Put(cmd.Context(), batch[:n])
			if err != nil {
				return put, again, err
			}
			for i := range receipts {
				if receipts[i].Duplicate {
					again++
				} else {
					put++
				}
			}
		}
		if rerr == io.EOF {
			return put, again, nil
		}
		if rerr != nil {
			return put, again, rerr
		}
	}
}
