package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/client"
	"github.com/glassq/glassq/internal/cli/term"
	"github.com/spf13/cobra"
)

const (
	leastEvery = 100 * time.Millisecond // between two looks of top
	lookLimit  = 5 * time.Second        // how long a look waits for answers
)

func (a *app) topCmd() *cobra.Command {
	t := &top{a: a}
	var r remote
	cmd := &cobra.Command{
		Use:   "top [QUEUE…]",
		Short: "Watch queues: what waits, what is leased, and how fast it moves",
		Long: `Show all queues, or the named ones, again and again: ready, delayed, leased and dead tasks, puts and ends
per second since the look before, how long the oldest ready task has waited, and workers that wait for tasks.
On a terminal it is a table in place, which keeps the busiest queues when not all have room, with the runs that
are not over below it; keys: arrows and pages move, tab shows all runs, ? the keys, q ends. Elsewhere it is
a line for each queue that has changed, and with --json one object per look. A server that goes away is
waited for, once it has answered.`,
		Example: `  glassq top
  glassq top --once tasks results
  glassq top --json --every 10s >> queues.ndjson`,
		ValidArgsFunction: a.complete(queueNames),
	}
	r.flags(cmd)
	fs := cmd.Flags()
	fs.DurationVar(&t.every, "every", time.Second, "time between two looks, at least 100ms")
	fs.BoolVar(&t.once, "once", false, "print one table, with the rates of that time, and end")
	fs.BoolVar(&t.json, "json", false, "print one JSON object per look")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if t.every < leastEvery {
			return usagef("--every %v is less than %v", t.every, leastEvery)
		}
		for _, name := range args {
			if err := glassq.CheckName(name); err != nil {
				return err
			}
		}
		t.queues, t.server = args, r.server
		if !t.json && !t.once && term.IsTerminal(a.out) && os.Getenv("TERM") != "dumb" {
			t.screen = term.NewScreen(a.out)
			if term.IsTerminal(a.in) {
				keys, restore, err := term.Keys(a.in)
				if err == nil { // where they cannot be read there are none
					t.keys = keys
					defer restore()
				}
			}
		}
		ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		return a.oneShot(cmd, &r, func(q *client.Client) error { return t.watch(ctx, q) })
	}
	return cmd
}

// A top is one call of the command.
type top struct {
	a      *app
	server string
	queues []string // names; none means all
	every  time.Duration
	once   bool
	json   bool
	screen *term.Screen    // nil when it is no terminal
	keys   <-chan term.Key // nil when there are none
	view   view
	drawn  func() error      // draws the last frame once more
	said   map[string]string // by queue, the line that was printed last
}

// watch looks until ctx is done. The first look must succeed.
func (t *top) watch(ctx context.Context, q *client.Client) error {
	last, err := t.look(ctx, q)
	if err != nil {
		return orStopped(ctx, err)
	}
	if t.screen != nil {
		if err := t.draw(last.rows(nil), &last, ""); err != nil {
			return err
		}
	}
	tick := time.NewTicker(t.every)
	defer tick.Stop()
	away := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case key, ok := <-t.keys:
			if !ok {
				t.keys = nil
				continue
			}
			if !t.view.press(key) {
				return nil
			}
			if err := t.drawn(); err != nil {
				return err
			}
			continue
		case <-tick.C:
		}
		now, err := t.look(ctx, q)
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil:
			err = t.show(&last, &now)
			last, away = now, false
		case !t.once && (errors.Is(err, client.ErrUnreachable) || errors.Is(err, context.DeadlineExceeded)):
			err = t.absent(&last, err, away)
			away = true
		}
		if err != nil || t.once {
			return err
		}
	}
}

// orStopped is err, or nil when ctx was what ended the call.
func orStopped(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func (t *top) look(ctx context.Context, q *client.Client) (l look, err error) {
	ctx, cancel := context.WithTimeout(ctx, lookLimit)
	defer cancel()
	l.queues, err = q.Queues(ctx, t.queues...)
	if len(t.queues) > 0 && glassq.CodeOf(err) == glassq.CodeNotFound { // one of them is not there yet, or no more
		l.queues, err = q.Queues(ctx)
		l.queues = slices.DeleteFunc(l.queues, func(n glassq.QueueInfo) bool { return !slices.Contains(t.queues, n.Name) })
	}
	if err == nil && (t.screen != nil || t.json) {
		l.runs, err = q.Runs(ctx)
	}
	if err != nil {
		return l, err
	}
	l.at = time.Now()
	l.stats, err = q.Stats(ctx)
	return l, err
}

// show prints what is new since last.
func (t *top) show(last, now *look) error {
	rows := now.rows(last)
	switch {
	case t.json:
		return t.a.printJSON(map[string]any{"time": now.at.UTC(), "seconds": now.at.Sub(last.at).Seconds(),
			"server": t.server,
			"stats":  &now.stats, "queues": rows, "runs": now.runs})
	case t.screen != nil:
		return t.draw(rows, now, "")
	case t.once:
		return t.a.printf("%s\n", strings.Join(table(rows, math.MaxInt), "\n"))
	}
	if t.said == nil {
		t.said = map[string]string{}
	}
	said := make(map[string]string, len(rows)) // those that are gone are said again if they come back
	for i := range rows {
		name, line := rows[i].Name, rows[i].line()
		said[name] = line
		if t.said[name] == line {
			continue
		}
		if err := t.a.printf("%s  %s\n", now.at.Format(time.TimeOnly), line); err != nil {
			return err
		}
	}
	t.said = said
	return nil
}

// absent says that a look failed, once for all that follow.
func (t *top) absent(last *look, err error, again bool) error {
	text := fmt.Sprintf("no answer since %s: %v", last.at.Format(time.TimeOnly), err)
	if t.screen != nil {
		return t.draw(last.rows(nil), last, text)
	}
	if !again {
		t.a.console.Say("glassq top: %s", text)
	}
	return nil
}

// draw puts a frame in the place of the one before.
func (t *top) draw(rows []row, now *look, trouble string) error {
	t.drawn = func() error {
		width, height := t.screen.Size()
		return t.screen.Draw(frame(rows, now, t.server, trouble, width, height-1, &t.view)) // the cursor stands on the last line
	}
	return t.drawn()
}
