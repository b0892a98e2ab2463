package main

import (
	"github.com/glassq/glassq"
	"github.com/glassq/glassq/client"
	"github.com/spf13/cobra"
)

func (a *app) queueCmd() *cobra.Command {
	on, off := true, false
	return group("queue", "Show, set and move queues and their tasks",
		a.queueLsCmd(), a.queueShowCmd(), a.queueSetCmd(),
		a.queueChangeCmd("pause", "Hand out no tasks of a queue", glassq.SettingsChange{Paused: &on}),
		a.queueChangeCmd("resume", "Hand out tasks of a queue again", glassq.SettingsChange{Paused: &off}),
		a.queuePeekCmd(), a.queuePurgeCmd(), a.queueRmCmd(), a.queueRedriveCmd(), a.queueExportCmd(), a.queueImportCmd(),
	)
}

// oneShot runs do with a client that fails at once when the server is away.
func (a *app) oneShot(cmd *cobra.Command, r *remote, do func(*client.Client) error) error {
	q, err := a.dial(cmd, r, 0)
	if err != nil {
		return err
	}
	defer q.Close()
	return r.absent(do(q))
}
