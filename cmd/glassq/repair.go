package main

import (
	"fmt"
	"path/filepath"

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
	losses := []string{}
	for _, l := range s.Losses {
		losses = append(losses, l.String())
	}
	v := map[string]any{"folder": dir, "damaged": !s.Whole(), "losses": losses, "bodies_lost": s.Lost,
		"queues": s.Queues, "runs": s.Runs,
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
	if s.Whole() {
		tasks := uint64(0)
		for i := range s.Queues {
			q := &s.Queues[i]
			tasks += uint64(q.Ready + q.Delayed + q.Leased + q.Dead)
		}
		return a.printf("nothing is damaged: %s in %s\n", plain.Plural(tasks, "task", "tasks"),
			plain.Plural(uint64(len(s.Queues)), "queue", "queues"))
	}
	if s.Refusal != nil {
		if err := a.printf("start    refuses it: %v\n", s.Refusal); err != nil {
			return err
		}
	}
	for _, l := range s.Losses {
		if err := a.printf("lost     %s\n", l); err != nil {
			return err
		}
	}
	if s.Lost > 0 {
		if err := a.printf("lost     the bodies of %s: each goes dead when it is to be handed out\n",
			plain.Plural(uint64(s.Lost), "task", "tasks")); err != nil {
			return err
		}
	}
	for _, q := range s.Queues {
		if err := a.printf("kept     queue %s: %s (ready %s, delayed %s, leased %s, dead %s)\n", q.Name,
			plain.Plural(uint64(q.Ready+q.Delayed+q.Leased+q.Dead), "task", "tasks"), plain.Comma(uint64(q.Ready)),
			plain.Comma(uint64(q.Delayed)),
			plain.Comma(uint64(q.Leased)), plain.Comma(uint64(q.Dead))); err != nil {
			return err
		}
	}
	for _, r := range s.Runs {
		if err := a.printf("kept     run %s: put %s, ok %s, failed %s, pending %s\n", r.Name, plain.Comma(r.Books.Put),
			plain.Comma(r.Books.OK), plain.Comma(r.Books.Failed), plain.Comma(r.Books.Pending())); err != nil {
			return err
		}
	}
	for _, q := range sortedKeys(s.Again) {
		if err := a.printf("again    queue %s: %s put after the damage, done since or not\n", q,
			plain.Plural(uint64(s.Again[q]), "task", "tasks")); err != nil {
			return err
		}
	}
	for _, run := range sortedKeys(s.ByRun) {
		if run == "" {
			continue
		}
		if err := a.printf("again    run %s: %s of them\n", run, plain.Comma(uint64(s.ByRun[run]))); err != nil {
			return err
		}
	}
	if s.Refused > 0 {
		return a.printf("refused  %s of these were there already, or beyond the end of their run\n",
			plain.Comma(uint64(s.Refused)))
	}
	return nil
}
