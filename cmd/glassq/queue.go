package main

import (
	"github.com/glassq/glassq"
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
