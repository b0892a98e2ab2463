package main

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/glassq/glassq/internal/disk"
	"github.com/glassq/glassq/internal/plain"
	"github.com/spf13/cobra"
)

// dataFolder is the folder that --data names, or the one that serve uses without it.
func dataFolder(data string) (string, error) {
	if data != "" {
		return filepath.Clean(data), nil
	}
	dir, err := stateDir()
	return filepath.Join(dir, "data"), err
}

func (a *app) repairCmd() *cobra.Command {
	var data string
	var salvage, asJSON bool
	cmd := &cobra.Command{
		Use:   "repair",
		Short: "Show what of damaged data can be kept, and salvage it",
		Long: `Read the data of a stopped server and show what is damaged and what can be kept. Nothing is changed
without --salvage; with it, a new folder is made of what reads, and the original is kept beside it.

Whether something is wrong is what a start says, tried in memory, and so is whether the data can be salvaged.

Everything up to the first damage after the last checkpoint is kept as it is. Tasks that were put after it are
put again, whether or not they were done since: acks behind a gap cannot be matched with their tasks. So
expect some tasks twice. A salvage that was killed is done again.

Exit codes: 0 nothing is damaged, or it was salvaged; 8 something is damaged.`,
		Example: "  glassq repair --data d\n  glassq repair --data d --salvage",
		Args:    arguments(0, 0),
	}
	cmd.Flags().StringVar(&data, "data", "", "`folder` of the data; default $XDG_STATE_HOME/glassq")
	cmd.Flags().BoolVar(&salvage, "salvage", false, "make a new folder of what reads, and keep the old one")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print what was found as JSON")
	cmd.RunE = func(*cobra.Command, []string) error {
		dir, err := dataFolder(data)
		if err != nil {
			return err
		}
		s, err := disk.Repair(dir, salvage)
		if s != nil {
			show := a.printSalvage
			if asJSON {
				show = func(s *disk.Salvage) error { return a.printJSON(salvageJSON(s, dir)) }
			}
			if perr := show(s); perr != nil {
				return perr
			}
		}
		switch {
		case err != nil:
			return err
		case s.Whole() && s.Unread.Needed() > 0:
			return &exitError{exitStorage, fmt.Errorf("%s is damaged: %s whose bodies do not read, and no salvage brings them back; "+
				"serve takes the rest: each of them goes dead when it is to be handed out, with the place as its reason, and a purge of "+
				"dead tasks ends it", dir, plain.Plural(s.Unread.Needed(), "task", "tasks"))}
		case s.Whole():
			return nil
		case s.Kept != "" && asJSON:
			return nil
		case s.Cannot != nil:
			return &exitError{exitStorage, fmt.Errorf("%s is damaged and cannot be salvaged: %w; nothing was changed; restore a backup",
				dir, s.Cannot)}
		case s.Kept != "":
			return a.printf("\nsalvaged into %s; the original is %s\n", dir, s.Kept)
		}
		return &exitError{exitStorage, fmt.Errorf("%s is damaged; nothing was changed; add --salvage to keep what is shown above", dir)}
	}
	return cmd
}

// salvageJSON is what repair --json prints.
func salvageJSON(s *disk.Salvage, dir string) map[string]any {
	losses, unread := []string{}, []map[string]any{}
	for _, l := range s.Losses {
		losses = append(losses, l.String())
	}
	for _, u := range s.Unread {
		unread = append(unread, map[string]any{"at": u.String(), "bodies_lost": u.Needed})
	}
	v := map[string]any{"folder": dir, "damaged": !s.Whole() || s.Unread.Needed() > 0, "losses": losses, "unread": unread,
		"bodies_lost": s.Lost + s.Unread.Needed(),
		"queues":      s.Queues, "runs": s.Runs,
		"again": s.Again, "again_by_run": s.ByRun, "refused": s.Refused}
	if s.Kept != "" {
		v["original"] = s.Kept
	}
	if s.Refusal != nil {
		v["refusal"] = s.Refusal.Error()
	}
	if s.Cannot != nil {
		v["cannot"] = s.Cannot.Error()
	}
	return v
}

func (a *app) printSalvage(s *disk.Salvage) error {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	if s.Whole() {
		tasks := int64(0)
		for i := range s.Queues {
			q := &s.Queues[i]
			tasks += q.Ready + q.Delayed + q.Leased + q.Dead
		}
		held := fmt.Sprintf("%s in %s", plain.Plural(tasks, "task", "tasks"), plain.Plural(len(s.Queues), "queue", "queues"))
		if len(s.Unread) == 0 {
			return a.printf("nothing is damaged: %s\n", held)
		}
		line("start    takes it: %s", held)
	}
	if s.Refusal != nil {
		line("start    refuses it: %v", s.Refusal)
	}
	for _, l := range s.Losses {
		line("lost     %s", l)
	}
	for _, u := range s.Unread {
		if u.Needed == 0 {
			line("unread   %s; nothing that lies there is needed", u)
		} else {
			line("lost     the bodies of %s: %s", plain.Plural(u.Needed, "task", "tasks"), u)
		}
	}
	if s.Whole() {
		return a.printf("%s", b.String())
	}
	if s.Lost > 0 {
		line("lost     the bodies of %s: each goes dead when it is to be handed out", plain.Plural(s.Lost, "task", "tasks"))
	}
	for _, q := range s.Queues {
		line("kept     queue %s: %s (ready %s, delayed %s, leased %s, dead %s)", q.Name,
			plain.Plural(q.Ready+q.Delayed+q.Leased+q.Dead, "task", "tasks"), plain.Comma(q.Ready),
			plain.Comma(q.Delayed), plain.Comma(q.Leased), plain.Comma(q.Dead))
	}
	for _, r := range s.Runs {
		line("kept     run %s: put %s, ok %s, failed %s, pending %s", r.Name, plain.Comma(r.Books.Put),
			plain.Comma(r.Books.OK), plain.Comma(r.Books.Failed), plain.Comma(r.Books.Pending()))
	}
	for _, q := range sortedKeys(s.Again) {
		line("again    queue %s: %s put after the damage, done since or not", q, plain.Plural(s.Again[q], "task", "tasks"))
	}
	for _, run := range sortedKeys(s.ByRun) {
		if run != "" {
			line("again    run %s: %s of them", run, plain.Comma(s.ByRun[run]))
		}
	}
	line("undone   what was done after the damage beside puts: acks, holds, progress, settings, seals, hooks, schedules, cancels, purges")
	if s.Refused > 0 {
		line("refused  %s of these were there already, or beyond the end of their run", plain.Comma(s.Refused))
	}
	return a.printf("%s", b.String())
}
