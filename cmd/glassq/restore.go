package main

import (
	"bufio"
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
		Long: `Make the data folder, which must be absent or empty, of the backup IN, and check it as a start would. IN is
the folder or the archive that backup made, or - for an archive on standard input. A restore that was killed leaves
a folder that no start takes; do it again.

Leases and acks since the backup are forgotten: tasks that were done since are handed out again.`,
		Example: "  glassq restore /backups/monday --data d\n  glassq restore monday.gqa --data d",
		Args:    arguments(1, 1),
	}
	cmd.Flags().StringVar(&data, "data", "", "`folder` of the data; default $XDG_STATE_HOME/glassq")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print what was done as JSON")
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		dir, err := dataFolder(data)
		if err != nil {
			return err
		}
		from := args[0]
		if from == "-" {
			return a.copyStore("standard input", dir, func(_, to string) (disk.Copied, error) {
				return disk.Unarchive(bufio.NewReaderSize(a.in, 1<<20), to)
			}, asJSON)
		}
		if st, err := os.Stat(from); err != nil || st.IsDir() {
			if err := isStore(from); err != nil {
				return err
			}
		}
		return a.copyStore(from, dir, disk.Restore, asJSON)
	}
	return cmd
}
