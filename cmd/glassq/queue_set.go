package main

import (
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/client"
	"github.com/glassq/glassq/internal/cli/config"
	"github.com/spf13/cobra"
)

func (a *app) queueSetCmd() *cobra.Command {
	var r remote
	var s glassq.Settings
	var maxBytes byteSize
	var catchup time.Duration
	var taskSchema, resultSchema, resume string
	var keys keyFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "set QUEUE",
		Short: "Change settings of a queue",
		Example: `  glassq queue set tasks --rate 500
  glassq queue set tasks --key-concurrency 4 --key-rate 60/m --key-rate 'slow.example.com=6/m'
  glassq queue set tasks --stages 0..5000/30s,5000/1m
  glassq queue set api --halt 'failed>30% of 200' --resume 60s
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
	fs.StringVar(&s.Unique, "unique", "", "`pending`: an id of its own is taken for as long as its task is there; empty: for ten minutes from its put")
	fs.Int64Var(&s.MaxUnique, "max-unique", 0, "with --unique pending, puts beyond that many ids are refused; 0 for 1,000,000")
	fs.StringVar(&s.Halt, "halt", "", "pause hand-outs by a `rule` like 'failed>30% of 200': of the last 200 endings; empty never")
	fs.StringVar(&s.HaltPer, "halt-per", glassq.HaltPerQueue, "with --halt, `what` is counted and paused: the queue as a whole, or each key alone")
	fs.StringVar(&resume, "resume", "manual", "with --halt, `when` one task goes out as a probe, like 60s after the halt; manual waits for queue resume, or keys --release")
	fs.StringVar(&taskSchema, "task-schema", "", "`file` with a JSON Schema that bodies must agree with; empty takes it away")
	fs.StringVar(&resultSchema, "result-schema", "", "`file` with a JSON Schema that results must agree with; empty takes it away")
	fs.BoolVar(&s.Opaque, "opaque", false, "let Python programs put instances of their own classes, which only Python getters see; =false ends that")
	keys.flags(fs)
	config.MayBeEmpty(cmd, "stages", "unique", "halt", "task-schema", "result-schema")
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
		if fs.Changed("unique") {
			c.Unique = &s.Unique
		}
		if fs.Changed("max-unique") {
			c.MaxUnique = &s.MaxUnique
		}
		if fs.Changed("halt") {
			c.Halt = &s.Halt
		}
		if fs.Changed("halt-per") {
			if s.HaltPer != glassq.HaltPerQueue && s.HaltPer != glassq.HaltPerKey {
				return usagef("--halt-per %s is neither queue nor key", s.HaltPer)
			}
			c.HaltPer = &s.HaltPer
		}
		if fs.Changed("resume") {
			if resume != "manual" {
				after, err := time.ParseDuration(resume)
				if err != nil || after < time.Second {
					return usagef("--resume %q is neither manual nor a duration of 1s or more", resume)
				}
				s.HaltResume = after.Seconds()
			}
			c.HaltResume = &s.HaltResume
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
		if err := keys.change(fs, &c); err != nil {
			return err
		}
		if c == (glassq.SettingsChange{}) {
			return usagef("nothing to set: give --fair, one of --key-…, --rate, --stages, --catchup, --attempts, --max-tasks, --max-bytes, --unique, --max-unique, --halt, --halt-per, --resume, --task-schema, --result-schema or --opaque")
		}
		return a.configure(cmd, &r, args[0], c, asJSON)
	}
	return cmd
}

// queueChangeCmd is a command that makes one change.
func (a *app) queueChangeCmd(use, short string, c glassq.SettingsChange) *cobra.Command {
	var r remote
	var asJSON bool
	cmd := &cobra.Command{Use: use + " QUEUE", Short: short, Example: "  glassq queue " + use + " tasks",
		Args: arguments(1, 1)}
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
