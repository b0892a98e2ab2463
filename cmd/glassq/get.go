package main

import (
	"errors"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/envelope"
	"github.com/spf13/cobra"
)

func (a *app) getCmd() *cobra.Command {
	var r remote
	req := glassq.Reserve{Max: 1}
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "get [QUEUE]",
		Short:   "Take one task by hand, print its body and ack it",
		Long:    `Take one task, print its body, and ack it once it is printed. Exit code 1 when there is none.`,
		Example: `  glassq get mails --wait 1m`,
		Args:    arguments(0, 1),
	}
	r.flags(cmd)
	fs := cmd.Flags()
	fs.StringVar(&req.Queue, "queue", glassq.DefaultQueue, "`queue` to take from")
	fs.DurationVar(&req.Wait, "wait", 0, "how long to wait for a task; negative without end")
	fs.DurationVar(&req.Lease, "lease", 10*time.Second, "time to print it before it goes back")
	fs.BoolVar(&asJSON, "json", false, "print the whole task as JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 1 {
			if fs.Changed("queue") && req.Queue != args[0] {
				return usagef("--queue %s and the argument %s name two queues", req.Queue, args[0])
			}
			req.Queue = args[0]
		}
		q, err := a.dial(cmd, &r, 0)
		if err != nil {
			return err
		}
		defer q.Close()
		leases, err := q.Reserve(cmd.Context(), req)
		if err != nil {
			return r.absent(err)
		}
		if len(leases) == 0 {
			return &exitError{exitUnexpected, glassq.Errorf(glassq.CodeNotFound, "queue %s has no task ready", req.Queue)}
		}
		l := &leases[0]
		line := append(l.Body[:len(l.Body):len(l.Body)], '\n')
		if asJSON {
			line = append(envelope.AppendTask(nil, &l.Task), '\n')
		}
		if _, err := a.out.Write(line); err != nil {
			_, nerr := q.Nack(cmd.Context(), []glassq.Nack{{Token: l.Token(), Undone: true}})
			return errors.Join(err, nerr)
		}
		errs, err := q.Ack(cmd.Context(), []glassq.Ack{{Token: l.Token()}})
		if err == nil {
			err = errs[0]
		}
		return r.absent(err)
	}
	return cmd
}
