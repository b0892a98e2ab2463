package main

import (
	"errors"
	"os"

	"github.com/glassq/glassq/internal/disk"
	"github.com/spf13/cobra"
)

func (a *app) restoreCmd() *cobra.Command {
	var data string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "restore IN",
		Short: "Make the data of a server from a backup",
		Long: `Copy the backup IN into the data folder, which must be absent or empty, and check the copy as a start would.
Leases and acks since the backup are forgotten: tasks that were done since are handed out again.`,
		Example: "  glassq restore /backups/monday --data d",
		Args:    arguments(1, 1),
	}
	cmd.Flags().StringVar(&data, "data", "", "`folder` of the data; default $XDG_STATE_HOME/glassq")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print what was done as JSON")
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		dir, err := dataFolder(data)
		if err != nil {
			return err
		}
		return a.copyStore(args[0], dir, disk.Restore, asJSON)
	}
	return cmd
}

// newFolder refuses a folder that holds something.
func newFolder(to string) error {
	entries, err := os.ReadDir(to)
	if err == nil && len(entries) > 0 {
		return usagef("%s is not empty; nothing was copied: name a new folder, or move this one away", to)
	}
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}
