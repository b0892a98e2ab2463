package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/glassq/glassq/internal/disk"
	"github.com/spf13/cobra"
)

func (a *app) backupCmd() *cobra.Command {
	var data string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "backup OUT",
		Short: "Copy the data of a stopped server into a new folder",
		Long: `Copy the data of a stopped server into the new folder OUT, synced, and check the copy as a start would.
A folder that a server uses is refused: its files change while they are copied.`,
		Example: "  glassq backup --data d /backups/monday",
		Args:    cobra.ExactArgs(1),
	}
	cmd.Flags().StringVar(&data, "data", "", "`folder` of the data; default $XDG_STATE_HOME/glassq")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print what was done as JSON")
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		dir, err := dataFolder(data)
		if err != nil {
			return err
		}
		return a.copyStore(dir, args[0], asJSON)
	}
	return cmd
}

func (a *app) restoreCmd() *cobra.Command {
	var data string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "restore IN",
		Short: "Make the data of a server from a backup",
		Long: `Copy the backup IN into the data folder, which must be absent or empty, and check the copy as a start would.
Leases and acks since the backup are forgotten: tasks that were done since are handed out again.`,
		Example: "  glassq restore /backups/monday --data d",
		Args:    cobra.ExactArgs(1),
	}
	cmd.Flags().StringVar(&data, "data", "", "`folder` of the data; default $XDG_STATE_HOME/glassq")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print what was done as JSON")
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		dir, err := dataFolder(data)
		if err != nil {
			return err
		}
		return a.copyStore(args[0], dir, asJSON)
	}
	return cmd
}

func (a *app) copyStore(from, to string, asJSON bool) error {
	if entries, err := os.ReadDir(to); err == nil && len(entries) > 0 {
		return usagef("%s is not empty; nothing was copied: name a new folder, or move this one away", to)
	} else if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if _, err := os.Stat(filepath.Join(from, "format")); err != nil {
		return usagef("%s is not the data of a server: %w", from, err)
	}
	c, err := disk.Copy(from, to)
	if err != nil {
		return fmt.Errorf("copy %s to %s: %w", from, to, err)
	}
	if asJSON {
		return a.printJSON(map[string]any{"folder": to, "files": c.Files, "tasks": c.Tasks, "queues": c.Queues})
	}
	return a.printf("%s: %d files, %s tasks in %d queues, checked\n", to, c.Files, commas(uint64(c.Tasks)), c.Queues)
}
