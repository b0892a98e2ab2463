package main

import (
	"fmt"
	"time"

	"github.com/glassq/glassq"
	"github.com/spf13/cobra"
)

func (a *app) runsWaitCmd() *cobra.Command {
	var r remote
	var phase string
	var timeout, retry time.Duration
	var asJSON, strict bool
	cmd := &cobra.Command{
		Use:   "wait RUN",
		Short: "Wait until a run exists, is complete, or its results are taken",
		Example: `  glassq runs wait r1 --strict
  glassq runs wait r1 --until drained --timeout 1h`,
		Args: arguments(1, 1),
	}
	r.flags(cmd)
	fs := cmd.Flags()
	fs.StringVar(&phase, "until", string(glassq.PhaseComplete), "exists, complete or drained")
	fs.DurationVar(&timeout, "timeout", -1, "how long to wait, then exit 1; negative without end")
	fs.Lookup("timeout").DefValue = "without end"
	fs.DurationVar(&retry, "retry", 60*time.Second, "how long to wait for a server that is away")
	strictFlag(fs, &strict, "")
	fs.BoolVar(&asJSON, "json", false, "print JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		until := glassq.Phase(phase)
		switch until {
		case glassq.PhaseExists, glassq.PhaseComplete, glassq.PhaseDrained:
		default:
			return usagef("--until %s is not one of exists, complete, drained", phase)
		}
		q, err := a.dial(cmd, &r, retry)
		if err != nil {
			return err
		}
		defer q.Close()
		ctx, stop := a.interruptible("glassq runs wait", "stopping")
		defer stop()
		run, err := q.AwaitRun(ctx, args[0], until, timeout)
		if err != nil {
			return r.absent(err)
		}
		if err := a.showRun(&run, asJSON); err != nil {
			return err
		}
		if until == glassq.PhaseComplete && !run.Complete || until == glassq.PhaseDrained &&
			(!run.Complete || run.Waiting > 0) {
			return &exitError{exitUnexpected, fmt.Errorf("run %s is not %s after %s", run.Name, phase, timeout)}
		}
		if until == glassq.PhaseExists && !strict {
			return nil
		}
		return wentWell(&run, strict)
	}
	return cmd
}
