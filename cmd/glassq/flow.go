package main

import (
	"encoding/json"
	"strings"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/broker"
	"github.com/spf13/pflag"
)

// flowFlags say what comes before and after a run.
func flowFlags(fs *pflag.FlagSet, c *glassq.RunChange) {
	fs.StringVar((*string)(&c.OnEnd), "on-end", "", "`queue` for a task that is put when the run ends, or the task as JSON")
	fs.StringVar((*string)(&c.OnFailed), "on-failed", "", "the same, put instead when tasks failed or are dead")
	fs.StringVar(&c.After, "after", "", "`run` after whose end the tasks become ready, when nothing of it failed or is dead")
	fs.BoolVar(&c.AfterAny, "after-any", false, "with --after: whatever has failed")
}

// checkFlow makes hooks of the flags.
func checkFlow(c *glassq.RunChange) error {
	if c.AfterAny && c.After == "" {
		return usagef("--after-any is about the end of another run: name it with --after")
	}
	if c.After != "" {
		if err := glassq.CheckName(c.After); err != nil {
			return usagef("--after: %w", err)
		}
	}
	if err := hookOf(&c.OnEnd); err != nil {
		return usagef("--on-end: %w", err)
	}
	if err := hookOf(&c.OnFailed); err != nil {
		return usagef("--on-failed: %w", err)
	}
	return nil
}

// hookOf makes a hook of the name of a queue; JSON is taken as it is.
func hookOf(h *glassq.Hook) error {
	if *h == "" {
		return nil
	}
	if !strings.HasPrefix(strings.TrimSpace(string(*h)), "{") {
		if err := glassq.CheckName(string(*h)); err != nil {
			return err
		}
		text, err := json.Marshal(map[string]string{"queue": string(*h)})
		if err != nil {
			return err
		}
		*h = glassq.Hook(text)
	}
	_, err := broker.HookTask(*h)
	return err
}
