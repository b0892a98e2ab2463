package main

import (
	"context"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/client"
	"github.com/glassq/glassq/internal/cli/config"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func (a *app) queueSetCmd() *cobra.Command {
	var s glassq.Settings
	var maxBytes byteSize
	var catchup time.Duration
	var taskSchema, resultSchema, resume string
	var keys keyFlags
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
	return a.asks(cmd, "print the settings as JSON", func(ctx context.Context,
		q *client.Client, args []string, asJSON bool) (err error) {
		var c glassq.SettingsChange
		change(fs, "rate", &c.Rate, &s.Rate)
		change(fs, "stages", &c.Stages, &s.Stages)
		s.Catchup, s.MaxBytes = catchup.Seconds(), int64(maxBytes)
		change(fs, "catchup", &c.Catchup, &s.Catchup)
		change(fs, "attempts", &c.Attempts, &s.Attempts)
		change(fs, "max-tasks", &c.MaxTasks, &s.MaxTasks)
		change(fs, "max-bytes", &c.MaxBytes, &s.MaxBytes)
		change(fs, "unique", &c.Unique, &s.Unique)
		change(fs, "max-unique", &c.MaxUnique, &s.MaxUnique)
		change(fs, "halt", &c.Halt, &s.Halt)
		halts := s.HaltPer == glassq.HaltPerQueue || s.HaltPer == glassq.HaltPerKey
		if change(fs, "halt-per", &c.HaltPer, &s.HaltPer) && !halts {
			return usagef("--halt-per %s is neither queue nor key", s.HaltPer)
		}
		change(fs, "opaque", &c.Opaque, &s.Opaque)
		if change(fs, "resume", &c.HaltResume, &s.HaltResume) && resume != "manual" {
			after, err := time.ParseDuration(resume)
			if err != nil || after < time.Second {
				return usagef("--resume %q is neither manual nor a duration of 1s or more", resume)
			}
			s.HaltResume = after.Seconds()
		}
		if change(fs, "task-schema", &c.TaskSchema, &s.TaskSchema) {
			if s.TaskSchema, err = readSchema(taskSchema); err != nil {
				return err
			}
		}
		if change(fs, "result-schema", &c.ResultSchema, &s.ResultSchema) {
			if s.ResultSchema, err = readSchema(resultSchema); err != nil {
				return err
			}
		}
		if err := keys.change(fs, &c); err != nil {
			return err
		}
		if c == (glassq.SettingsChange{}) {
			return usagef("nothing to set: give --fair, one of --key-…, --rate, --stages, --catchup, --attempts, --max-tasks, --max-bytes, --unique, --max-unique, --halt, --halt-per, --resume, --task-schema, --result-schema or --opaque")
		}
		return a.configure(ctx, q, args[0], c, asJSON)
	})
}

// change has a setting be what its flag says, if the flag was given, and tells whether it was.
func change[T any](fs *pflag.FlagSet, flag string, setting **T, value *T) bool {
	if fs.Changed(flag) {
		*setting = value
	}
	return fs.Changed(flag)
}

// queueChangeCmd is a command that makes one change.
func (a *app) queueChangeCmd(use, short string, c glassq.SettingsChange) *cobra.Command {
	cmd := &cobra.Command{Use: use + " QUEUE", Short: short, Example: "  glassq queue " + use + " tasks",
		Args: arguments(1, 1)}
	return a.asks(cmd, "print the settings as JSON", func(ctx context.Context,
		q *client.Client, args []string, asJSON bool) error {
		return a.configure(ctx, q, args[0], c, asJSON)
	})
}

func (a *app) configure(ctx context.Context, q *client.Client, queue string,
	c glassq.SettingsChange, asJSON bool) error {
	s, err := q.Configure(ctx, queue, c)
	if err != nil {
		return err
	}
	return a.answer(asJSON, s, "%s: %s", queue, settingsLine(s))
}
