package main

import (
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/client"
	"github.com/spf13/cobra"
)

func (a *app) queueCmd() *cobra.Command {
	on, off := true, false
	return group("queue", "Show, set and move queues and their tasks",
		a.queueLsCmd(), a.queueShowCmd(), a.queueSetCmd(),
		a.queueChangeCmd("pause", "Hand out no tasks of a queue", glassq.SettingsChange{Paused: &on}),
		a.queueChangeCmd("resume", "Hand out tasks of a queue again", glassq.SettingsChange{Paused: &off}),
		a.queuePeekCmd(), a.queuePurgeCmd(), a.queueRedriveCmd(), a.queueExportCmd(), a.queueImportCmd(),
	)
}

// oneShot runs do with a client that fails at once when the server is away.
func (a *app) oneShot(cmd *cobra.Command, r *remote, do func(*client.Client) error) error {
	q, err := a.open(cmd, r, 0)
	if err != nil {
		return err
	}
	defer q.Close()
	return r.absent(do(q))
}

func (a *app) queueLsCmd() *cobra.Command {
	var r remote
	var asJSON bool
	cmd := &cobra.Command{Use: "ls", Short: "List queues", Example: "  glassq queue ls", Args: arguments(0, 0)}
	r.flags(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object per queue")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return a.oneShot(cmd, &r, func(q *client.Client) error {
			queues, err := q.Queues(cmd.Context())
			if err != nil {
				return err
			}
			if asJSON {
				for i := range queues {
					if err := a.printJSON(&queues[i]); err != nil {
						return err
					}
				}
				return nil
			}
			w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', tabwriter.AlignRight)
			fmt.Fprintln(w, "READY\tDELAYED\tLEASED\tDEAD\tPUT\tOK\tFAILED\tWAITERS\t  QUEUE")
			for i := range queues {
				n := &queues[i]
				name := n.Name
				if n.Settings.Paused {
					name += " (paused)"
				}
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d\t  %s\n", commas(uint64(n.Ready)), commas(uint64(n.Delayed)),
					commas(uint64(n.Leased)), commas(uint64(n.Dead)), commas(n.Books.Put), commas(n.Books.OK), commas(n.Books.Failed), n.Waiters, name)
			}
			return w.Flush()
		})
	}
	return cmd
}

func (a *app) queueShowCmd() *cobra.Command {
	var r remote
	var asJSON bool
	cmd := &cobra.Command{Use: "show QUEUE", Short: "Show a queue", Example: "  glassq queue show tasks", Args: arguments(1, 1)}
	r.flags(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return a.oneShot(cmd, &r, func(q *client.Client) error {
			if err := glassq.CheckName(args[0]); err != nil {
				return err
			}
			queues, err := q.Queues(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if len(queues) != 1 {
				return glassq.Errorf(glassq.CodeNotFound, "there is no queue %s; glassq queue ls lists them", args[0])
			}
			if asJSON {
				return a.printJSON(&queues[0])
			}
			return a.showQueue(&queues[0])
		})
	}
	return cmd
}

func (a *app) showQueue(n *glassq.QueueInfo) error {
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "queue\t%s\n", n.Name)
	fmt.Fprintf(w, "tasks\tready %s, delayed %s, leased %s, dead %s; %s bytes\n", commas(uint64(n.Ready)),
		commas(uint64(n.Delayed)), commas(uint64(n.Leased)), commas(uint64(n.Dead)), commas(uint64(n.Bytes)))
	fmt.Fprintf(w, "books\t%s\n", booksLine(n.Books))
	if d := n.Books.Dead; d.Sum() > 0 {
		fmt.Fprintf(w, "dead by\tattempts %s, nacked %s, expired %s, purged %s, cancelled %s\n",
			commas(d.Attempts), commas(d.Nacked), commas(d.Expired), commas(d.Purged), commas(d.Cancelled))
	}
	fmt.Fprintf(w, "waiting\t%d reserves; the oldest ready task for %s\n", n.Waiters, brief(time.Duration(n.Oldest*float64(time.Second))))
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
	if s.TaskSchema != "" {
		line += ", task-schema"
	}
	if s.ResultSchema != "" {
		line += ", result-schema"
	}
	if s.Opaque {
		line += ", opaque"
	}
	return line
}

func (a *app) queueSetCmd() *cobra.Command {
	var r remote
	var s glassq.Settings
	var maxBytes byteSize
	var catchup time.Duration
	var taskSchema, resultSchema string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "set QUEUE",
		Short: "Change settings of a queue",
		Example: `  glassq queue set tasks --rate 500
  glassq queue set tasks --stages 0..5000/30s,5000/1m
  glassq queue set urls --task-schema t.json --result-schema r.json`,
		Args: arguments(1, 1),
	}
	r.flags(cmd)
	fs := cmd.Flags()
	fs.Float64Var(&s.Rate, "rate", 0, "most hand-outs a second; 0 no limit")
	fs.StringVar(&s.Stages, "stages", "", "`rates` over time instead, like 0..5000/30s,5000/1m; they begin at once, the last one goes on")
	fs.DurationVar(&catchup, "catchup", 0, "how much of its schedule the queue catches up with in a burst when workers were late")
	fs.IntVar(&s.Attempts, "attempts", 0, "most tries of tasks that do not say; 0 the default, 20")
	fs.Int64Var(&s.MaxTasks, "max-tasks", 0, "puts beyond that many tasks are refused; 0 no limit")
	fs.Var(&maxBytes, "max-bytes", "puts beyond that much are refused; 0 no limit")
	fs.StringVar(&taskSchema, "task-schema", "", "`file` with a JSON Schema that bodies must agree with; empty takes it away")
	fs.StringVar(&resultSchema, "result-schema", "", "`file` with a JSON Schema that results must agree with; empty takes it away")
	fs.BoolVar(&s.Opaque, "opaque", false, "let Python programs put instances of their own classes, which only Python getters see; =false ends that")
	fs.BoolVar(&asJSON, "json", false, "print the settings as JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		s.MaxBytes = int64(maxBytes)
		var c glassq.SettingsChange
		if fs.Changed("rate") {
			c.Rate = &s.Rate
		}
		if fs.Changed("stages") {
			c.Stages = &s.Stages
		}
		if fs.Changed("catchup") {
			s.Catchup = catchup.Seconds()
			c.Catchup = &s.Catchup
		}
		if fs.Changed("attempts") {
			c.Attempts = &s.Attempts
		}
		if fs.Changed("max-tasks") {
			c.MaxTasks = &s.MaxTasks
		}
		if fs.Changed("max-bytes") {
			c.MaxBytes = &s.MaxBytes
		}
		if fs.Changed("opaque") {
			c.Opaque = &s.Opaque
		}
		if fs.Changed("task-schema") {
			if s.TaskSchema, err = readSchema(taskSchema); err != nil {
				return err
			}
			c.TaskSchema = &s.TaskSchema
		}
		if fs.Changed("result-schema") {
			if s.ResultSchema, err = readSchema(resultSchema); err != nil {
				return err
			}
			c.ResultSchema = &s.ResultSchema
		}
		if c == (glassq.SettingsChange{}) {
			return usagef("nothing to set: give --rate, --stages, --catchup, --attempts, --max-tasks, --max-bytes, --task-schema, --result-schema or --opaque")
		}
		return a.configure(cmd, &r, args[0], c, asJSON)
	}
	return cmd
}

// queueChangeCmd is a command that makes one change.
func (a *app) queueChangeCmd(use, short string, c glassq.SettingsChange) *cobra.Command {
	var r remote
	var asJSON bool
	cmd := &cobra.Command{Use: use + " QUEUE", Short: short, Example: "  glassq queue " + use + " tasks", Args: arguments(1, 1)}
	r.flags(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the settings as JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return a.configure(cmd, &r, args[0], c, asJSON) }
	return cmd
}

func (a *app) configure(cmd *cobra.Command, r *remote, queue string, c glassq.SettingsChange, asJSON bool) error {
	return a.oneShot(cmd, r, func(q *client.Client) error {
		s, err := q.Configure(cmd.Context(), queue, c)
		if err != nil {
			return err
		}
		if asJSON {
			return a.printJSON(s)
		}
		return a.printf("%s: %s\n", queue, settingsLine(s))
	})
}
