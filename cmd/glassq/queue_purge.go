package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/client"
	"github.com/glassq/glassq/internal/cli/term"
	"github.com/glassq/glassq/internal/plain"
	"github.com/spf13/cobra"
)

func (a *app) queuePurgeCmd() *cobra.Command {
	var texts []string
	var f deadFlags
	var force bool
	cmd := &cobra.Command{
		Use:   "purge QUEUE",
		Short: "End tasks of a queue for good",
		Long: `End the delayed and ready tasks of a queue, or those of --state, for good. In the books they are dead,
purged; nothing brings them back. Leased ones finish. It says how many there are and asks; where nobody can
be asked it needs --force.

With --task, --why, --reason, --run or -n only those dead tasks end that agree with every flag that is given.`,
		Example: `  glassq queue purge tasks
  glassq queue purge tasks --state dead --force
  glassq queue purge tasks --task r1/17 --force`,
		Args: arguments(1, 1),
	}
	fs := cmd.Flags()
	fs.StringSliceVar(&texts, "state", []string{"delayed", "ready"}, "which: delayed, ready or dead; may be repeated")
	f.flags(cmd, "how many dead tasks at most, oldest first; 0 all")
	fs.BoolVar(&force, "force", false, "do not ask")
	return a.asks(cmd, "print JSON", func(ctx context.Context, q *client.Client, args []string, asJSON bool) error {
		states, err := parseStates(texts)
		if err != nil {
			return err
		}
		if len(states) == 0 || slices.Contains(states, glassq.Leased) {
			return usagef("--state is one of delayed, ready, dead; a leased task finishes")
		}
		some, err := f.given(cmd)
		if err != nil {
			return err
		}
		dead := []glassq.State{glassq.Dead}
		if some && cmd.Flags().Changed("state") && !slices.Equal(states, dead) {
			return usagef("--task, --why, --reason, --run and -n choose among dead tasks, not among --state %s", joinStates(states))
		}
		if some {
			states = dead
		}
		if !force {
			if err := a.mayEnd(cmd, q, args[0], states, some, "not purged"); err != nil {
				return err
			}
		}
		n, err := 0, error(nil)
		if some {
			n, err = q.PurgeSome(ctx, args[0], f.DeadFilter)
		} else {
			n, err = q.Purge(ctx, args[0], states...)
		}
		if err != nil {
			return err
		}
		return a.answer(asJSON, map[string]any{"queue": args[0], "purged": n}, "%s: %s purged", args[0], plain.Plural(n, "task", "tasks"))
	})
}

// mayEnd asks on the terminal whether tasks are to be ended; nil is yes, and also when there are
// none. some says that not all of them are meant.
func (a *app) mayEnd(cmd *cobra.Command, q *client.Client, queue string, states []glassq.State, some bool,
	no string) error {
	list, err := q.Queues(cmd.Context(), queue)
	if err != nil {
		return err
	}
	n := int64(0)
	for _, s := range states {
		n += map[glassq.State]int64{glassq.Delayed: list[0].Delayed, glassq.Ready: list[0].Ready,
			glassq.Dead: list[0].Dead}[s]
	}
	if n == 0 {
		return nil
	}
	what := fmt.Sprintf("%s of queue %s (%s)", plain.Plural(n, "task", "tasks"), queue, joinStates(states))
	if some {
		what = fmt.Sprintf("those of %s that are meant", what)
	}
	if !term.IsTerminal(a.in) {
		return usagef("%s would be ended for good, and there is nobody to ask: give --force", what)
	}
	fmt.Fprintf(a.console, "End %s for good? Type the name of the queue: ", what)
	answer, err := bufio.NewReader(a.in).ReadString('\n')
	if err != nil && err != io.EOF {
		return err
	}
	if strings.TrimSpace(answer) != queue {
		return usagef("%s", no)
	}
	return nil
}

func joinStates(states []glassq.State) string {
	var names []string
	for _, s := range states {
		names = append(names, s.String())
	}
	return strings.Join(names, ", ")
}
