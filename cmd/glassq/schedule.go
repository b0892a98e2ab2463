package main

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/client"
	"github.com/glassq/glassq/internal/cli/term"
	"github.com/glassq/glassq/internal/envelope"
	"github.com/spf13/cobra"
)

func (a *app) scheduleCmd() *cobra.Command {
	return group("schedule", "Put a task whenever a clock says so",
		a.scheduleSetCmd(), a.scheduleLsCmd(), a.schedulePauseCmd("pause", "Put nothing until it is resumed", true),
		a.schedulePauseCmd("resume", "Go on with a schedule, from now on", false), a.scheduleRmCmd())
}

func (a *app) scheduleSetCmd() *cobra.Command {
	var r remote
	var t glassq.Task
	var c glassq.ScheduleChange
	var priority int
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "set NAME CRON [BODY]",
		Short: "Make a schedule, or change it",
		Long: `Put a task into a queue at each moment that CRON names: minute, hour, day of month, month and day of week, as
in crontab, or @hourly, @daily, @weekly, @monthly. Each due moment has one task, whatever crashes: it has the
id NAME/MOMENT. The clock of the server decides, in the zone that is named.

Moments that were missed while no server ran are counted. --missed says whether the last one of them has its
task (once), each has (all), or none. A time of day that is left out when clocks go forward is due as much
later; one that comes twice when they go back is due once, unless the schedule is due in every hour.

The body is the argument, or all of standard input.`,
		Example: `  glassq schedule set reports '*/5 * * * *' --zone Europe/Berlin --queue reports 'make the report'
  glassq schedule set nightly '30 2 * * *' --zone Europe/Berlin --queue jobs --missed none < job.json`,
		Args: arguments(2, 3),
	}
	r.flags(cmd)
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
	fs.BoolVar(&asJSON, "json", false, "print the schedule as JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if priority < 0 || priority > 9 {
			return usagef("--priority %d is not 0 to 9", priority)
		}
		t.Priority, c.Cron = glassq.Level(priority), args[1]
		if len(args) == 3 {
			t.Body = []byte(args[2])
		} else {
			if term.IsTerminal(a.in) {
				return usagef("nothing to put: give the body as an argument or on standard input")
			}
			body, err := io.ReadAll(io.LimitReader(a.in, glassq.MaxScheduled+1))
			if err != nil {
				return usagef("read standard input: %w", err)
			}
			t.Body = body
		}
		c.Task = glassq.Envelope(envelope.AppendTask(nil, &t))
		return a.setSchedule(cmd, &r, args[0], c, asJSON)
	}
	return cmd
}

// setSchedule changes a schedule and says what is next.
func (a *app) setSchedule(cmd *cobra.Command, r *remote, name string, c glassq.ScheduleChange, asJSON bool) error {
	return a.oneShot(cmd, r, func(q *client.Client) error {
		s, err := q.SetSchedule(cmd.Context(), name, c)
		if err != nil {
			return err
		}
		if asJSON {
			return a.printJSON(&s)
		}
		return a.printf("%s: %s\n", s.Name, nextOf(&s))
	})
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
	var r remote
	var asJSON bool
	cmd := &cobra.Command{Use: "ls", Short: "List schedules", Example: "  glassq schedule ls", Args: arguments(0, 0)}
	r.flags(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object per schedule")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return a.oneShot(cmd, &r, func(q *client.Client) error {
			list, err := q.Schedules(cmd.Context())
			if err != nil {
				return err
			}
			if asJSON {
				for i := range list {
					if err := a.printJSON(&list[i]); err != nil {
						return err
					}
				}
				return nil
			}
			w := tabwriter.NewWriter(a.text(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "SCHEDULE\tCRON\tZONE\tLAST\tNEXT\tPUT\tMISSED\tWAITS")
			for i := range list {
				s := &list[i]
				next := momentOf(s, s.Next)
				if s.Paused {
					next = "paused"
				}
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\t%d\t%s\n", s.Name, s.Cron, s.Zone, momentOf(s, s.Last), next,
					s.Puts, s.Lost, s.Waits)
			}
			return w.Flush()
		})
	}
	return cmd
}

func (a *app) schedulePauseCmd(use, short string, paused bool) *cobra.Command {
	var r remote
	var asJSON bool
	cmd := &cobra.Command{Use: use + " NAME", Short: short, Example: "  glassq schedule " + use + " reports",
		Args: arguments(1, 1)}
	r.flags(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the schedule as JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return a.setSchedule(cmd, &r, args[0], glassq.ScheduleChange{Paused: &paused}, asJSON)
	}
	return cmd
}

func (a *app) scheduleRmCmd() *cobra.Command {
	var r remote
	var asJSON bool
	cmd := &cobra.Command{Use: "rm NAME", Short: "Forget a schedule; tasks that it has put stay",
		Example: "  glassq schedule rm reports", Args: arguments(1, 1)}
	r.flags(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return a.oneShot(cmd, &r, func(q *client.Client) error {
			if err := q.DropSchedule(cmd.Context(), args[0]); err != nil {
				return err
			}
			if asJSON {
				return a.printJSON(map[string]any{"schedule": args[0], "removed": true})
			}
			return a.printf("%s: removed\n", args[0])
		})
	}
	return cmd
}
