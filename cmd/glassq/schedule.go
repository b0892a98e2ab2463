package main

import (
	"context"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/client"
	"github.com/glassq/glassq/internal/envelope"
	"github.com/spf13/cobra"
)

func (a *app) scheduleCmd() *cobra.Command {
	return group("schedule", "Put a task whenever a clock says so",
		a.scheduleSetCmd(), a.scheduleLsCmd(), a.schedulePauseCmd("pause", "Put nothing until it is resumed", true),
		a.schedulePauseCmd("resume", "Go on with a schedule, from now on", false), a.scheduleRmCmd())
}

func (a *app) scheduleSetCmd() *cobra.Command {
	var t glassq.Task
	var c glassq.ScheduleChange
	var priority int
	cmd := &cobra.Command{
		Use:   "set NAME CRON [BODY]",
		Short: "Make a schedule, or change it",
		Long: `Put a task into a queue at each moment that CRON names: minute, hour, day of month, month and day of week, as
in crontab, or @hourly, @daily, @weekly, @monthly. Each due moment has one task, whatever crashes: it has the
id NAME/MOMENT. The clock of the server decides, in the zone that is named.

Moments that were missed while no server ran are counted. --missed says whether the last one of them has its
task (once), each has (all), or none. A time of day that is left out when clocks go forward is due as much
later; one that comes twice when they go back is due once, unless the schedule is due in every hour.

The body is the argument; without one, or for -, all of standard input.`,
		Example: `  glassq schedule set reports '*/5 * * * *' --zone Europe/Berlin --queue reports 'make the report'
  glassq schedule set nightly '30 2 * * *' --zone Europe/Berlin --queue jobs --missed none < job.json`,
		Args: arguments(2, 3),
	}
	fs := cmd.Flags()
	fs.StringVar(&t.Queue, "queue", glassq.DefaultQueue, "`queue` to put to")
	fs.StringVar(&c.Zone, "zone", "UTC", "`zone` of the times, such as Europe/Berlin")
	fs.StringVar(&c.Missed, "missed", glassq.MissedOnce, "what is put for missed moments: once, all or none")
	fs.StringVar(&t.Run, "run", "", "`name` of the run that counts the tasks")
	fs.StringVar(&t.Type, "type", "", "content type of the body")
	fs.IntVar(&priority, "priority", 4, "0 lowest to 9 highest")
	fs.DurationVar(&t.TTL, "ttl", 0, "time after which a task is dead if nobody took it; 0 never")
	fs.IntVar(&t.Attempts, "attempts", 0, "most tries; default the queue's, 20")
	fs.StringVar(&t.ResultQueue, "results", "", "`queue` for the results")
	return a.asks(cmd, "print the schedule as JSON", func(ctx context.Context,
		q *client.Client, args []string, asJSON bool) (err error) {
		if priority < 0 || priority > 9 {
			return usagef("--priority %d is not 0 to 9", priority)
		}
		t.Priority, c.Cron = glassq.Level(priority), args[1]
		if t.Body, err = a.body(args[2:], glassq.MaxScheduled); err != nil {
			return err
		}
		c.Task = glassq.Envelope(envelope.AppendTask(nil, &t))
		return a.setSchedule(ctx, q, args[0], c, asJSON)
	})
}

// setSchedule changes a schedule and says what is next.
func (a *app) setSchedule(ctx context.Context, q *client.Client, name string,
	c glassq.ScheduleChange, asJSON bool) error {
	s, err := q.SetSchedule(ctx, name, c)
	if err != nil {
		return err
	}
	return a.answer(asJSON, &s, "%s: %s", s.Name, nextOf(&s))
}

// nextOf is when a schedule is due next, in its zone.
func nextOf(s *glassq.Schedule) string {
	switch {
	case s.Paused:
		return "paused"
	case s.Next.IsZero():
		return "never due"
	}
	return "next " + momentOf(s, s.Next)
}

// momentOf is a moment on a clock of the schedule's zone.
func momentOf(s *glassq.Schedule, t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	zone, err := time.LoadLocation(s.Zone)
	if err != nil {
		zone = time.UTC
	}
	return t.In(zone).Format("2006-01-02 15:04 MST")
}

func (a *app) scheduleLsCmd() *cobra.Command {
	cmd := &cobra.Command{Use: "ls", Short: "List schedules", Example: "  glassq schedule ls", Args: arguments(0, 0)}
	return a.asks(cmd, "print one JSON object per schedule", func(ctx context.Context,
		q *client.Client, _ []string, asJSON bool) error {
		list, err := q.Schedules(ctx)
		if err != nil {
			return err
		}
		return lister[glassq.Schedule]{
			each: eachOf(list), head: "SCHEDULE\tCRON\tZONE\tLAST\tNEXT\tPUT\tMISSED\tWAITS",
			row: func(s *glassq.Schedule) []any {
				next := momentOf(s, s.Next)
				if s.Paused {
					next = "paused"
				}
				return []any{s.Name, s.Cron, s.Zone, momentOf(s, s.Last), next, s.Puts, s.Lost, s.Waits}
			},
		}.print(a, asJSON)
	})
}

func (a *app) schedulePauseCmd(use, short string, paused bool) *cobra.Command {
	cmd := &cobra.Command{Use: use + " NAME", Short: short, Example: "  glassq schedule " + use + " reports",
		Args: arguments(1, 1)}
	return a.asks(cmd, "print the schedule as JSON", func(ctx context.Context,
		q *client.Client, args []string, asJSON bool) error {
		return a.setSchedule(ctx, q, args[0], glassq.ScheduleChange{Paused: &paused}, asJSON)
	})
}

func (a *app) scheduleRmCmd() *cobra.Command {
	cmd := &cobra.Command{Use: "rm NAME", Short: "Forget a schedule; tasks that it has put stay",
		Example: "  glassq schedule rm reports", Args: arguments(1, 1)}
	return a.asks(cmd, "print JSON", func(ctx context.Context, q *client.Client, args []string, asJSON bool) error {
		if err := q.DropSchedule(ctx, args[0]); err != nil {
			return err
		}
		return a.answer(asJSON, map[string]any{"schedule": args[0], "removed": true}, "%s: removed", args[0])
	})
}
