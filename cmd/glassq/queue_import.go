package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/client"
	"github.com/glassq/glassq/internal/cli/term"
	"github.com/glassq/glassq/internal/dispatch"
	"github.com/glassq/glassq/internal/plain"
	"github.com/spf13/cobra"
)

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
		case term.IsTerminal(a.in):
			return usagef("nothing to import: give --file F, or lines on standard input")
		}
		q, err := a.dial(cmd, &r, retry)
		if err != nil {
			return err
		}
		defer q.Close()
		tasks := dispatch.NewTasks(in)
		put, again, err := a.importTasks(cmd, q, args[0], tasks)
		if err != nil {
			a.console.Say("glassq queue import: put %s so far; the same command again goes on", plain.Comma(put))
			if _, ok := errors.AsType[*dispatch.LineError](err); ok {
				return usagef("%s: %w", name, err)
			}
			return r.absent(err)
		}
		if asJSON {
			return a.printJSON(map[string]any{"queue": args[0], "put": put, "duplicates": again, "empty": tasks.Empty()})
		}
		text := fmt.Sprintf("%s: %s put", args[0], plain.Plural(put, "task", "tasks"))
		if again > 0 {
			text += fmt.Sprintf(", %s were there before", plain.Comma(again))
		}
		return a.printf("%s%s\n", text, emptyLines(tasks.Empty()))
	}
	return cmd
}

// importTasks puts tasks into queue and returns how many it put, and how many were there before. Of
// the warnings it says the first.
func (a *app) importTasks(cmd *cobra.Command, q *client.Client, queue string, in *dispatch.Tasks) (put, again uint64,
	err error) {
	batch := make([]glassq.Task, 2000)
	warned := false
	for {
		n, rerr := in.Next(batch)
		for i := range batch[:n] {
			batch[i].Queue = queue
		}
		if n > 0 {
			receipts, err := q.Import(cmd.Context(), batch[:n])
			if err != nil {
				return put, again, err
			}
			for i := range receipts {
				if text := receipts[i].Warning; text != "" && !warned {
					warned = true
					a.console.Say("glassq queue import: %s", text)
				}
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
