package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/glassq/glassq/internal/audit"
	"github.com/glassq/glassq/internal/door"
	"github.com/glassq/glassq/internal/plain"
	"github.com/spf13/cobra"
)

func (a *app) auditCmd() *cobra.Command {
	var data, since string
	var who, actions []string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Show who did what to a server: purges, settings, logins and the like",
		Long: `Show what people and tokens did to a server, oldest first: who, through which door and from which address, what, with
how many tasks, and how it ended. It is read from the folder of the data, on the server's own machine, whether
the server runs or not. The last 32 to 64 MiB are kept.`,
		Example: `  glassq audit --data d --since 24h --action purge --action drop`,
		Args:    arguments(0, 0),
	}
	fs := cmd.Flags()
	fs.StringVar(&data, "data", "", "`folder` of the data; default $XDG_STATE_HOME/glassq")
	fs.StringVar(&since, "since", "", "`moment` from which on: 24h ago, or 2026-11-29T21:00:00Z")
	fs.StringSliceVar(&who, "who", nil, "`names` of tokens; or key, guest, unknown, system")
	fs.StringSliceVar(&actions, "action", nil, "`actions`, such as purge or login")
	fs.BoolVar(&asJSON, "json", false, "print the lines as they are, JSON")
	cmd.RunE = func(*cobra.Command, []string) error {
		for _, action := range actions {
			if known := door.Actions(); !slices.Contains(known, action) {
				return usagef("--action %s is not one of %s", action, strings.Join(known, ", "))
			}
		}
		from, err := moment(since, time.Now())
		if err != nil {
			return err
		}
		dir, err := dataFolder(data)
		if err != nil {
			return err
		}
		if err := isStore(dir); err != nil {
			return err
		}
		bad, err := audit.Read(dir, func(e *audit.Entry) error {
			if e.Time.Before(from) || len(who) > 0 && !slices.Contains(who, e.Who) ||
				len(actions) > 0 && !slices.Contains(actions, e.Action) {
				return nil
			}
			if asJSON {
				text, _ := json.Marshal(e) // texts, a number and a time cannot fail
				return a.printf("%s\n", text)
			}
			return a.printf("%s\n", describeEntry(e))
		})
		if bad > 0 {
			a.console.Say("glassq audit: %s in %s could not be read and were left out", plain.Plural(bad, "line", "lines"), dir)
		}
		return err
	}
	return cmd
}

// moment reads a time, or how long ago it was; "" is long ago.
func moment(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t, nil
	}
	var ago lifetime
	if err := ago.Set(text); err != nil || ago == 0 {
		return time.Time{}, usagef("--since %s is neither a time like 24h or 7d ago nor one like 2026-11-29T21:00:00Z", text)
	}
	return now.Add(-time.Duration(ago)), nil
}

// describeEntry is an entry for people. Text that clients have chosen is shown without control
// characters.
func describeEntry(e *audit.Entry) string {
	text := fmt.Sprintf("%s  %-12s %-12s", e.Time.Local().Format(time.DateTime), e.Who, e.Action)
	for _, part := range []struct{ name, value string }{{"queue ", e.Queue}, {"run ", e.Run}, {"", e.What}} {
		if part.value != "" {
			text += " " + part.name + part.value
		}
	}
	switch {
	case e.Action == audit.ActionLost:
		text += " " + plain.Plural(e.Count, "line", "lines")
	case e.Count != 0:
		text += " " + plain.Plural(e.Count, "task", "tasks")
	}
	if e.Door != "" {
		text += fmt.Sprintf(" by %s from %s", e.Door, e.From)
	}
	if e.Outcome != audit.OK {
		text += ": " + e.Outcome
	}
	return strings.TrimRight(plain.Text([]byte(text)), " ")
}
