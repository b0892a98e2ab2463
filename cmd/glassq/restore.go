package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"

	"github.com/glassq/glassq/internal/disk"
	"github.com/glassq/glassq/internal/jetstream"
	"github.com/glassq/glassq/internal/plain"
	"github.com/glassq/glassq/internal/stores"
	"github.com/spf13/cobra"
)

func (a *app) restoreCmd() *cobra.Command {
	var data, store string
	var nats jetstream.Options
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "restore IN",
		Short: "Make the data of a server from a backup",
		Long: `Make the data folder, which must be absent or empty, of the backup IN, and check it as a start would. IN is
the folder or the archive that backup made, or - for an archive on standard input. A restore that was killed leaves
a folder that no start takes; do it again.

With --store nats://… the archive becomes a store of several machines, where there is none yet.

Leases and acks since the backup are forgotten: tasks that were done since are handed out again.`,
		Example: "  glassq restore /backups/monday --data d\n  glassq restore monday.gqa --data d\n" +
			"  glassq restore monday.gqa --store nats://a:4222,b:4222,c:4222/main --accept-lazy-sync",
		Args: arguments(1, 1),
	}
	cmd.Flags().StringVar(&data, "data", "", "`folder` of the data; default $XDG_STATE_HOME/glassq")
	cmd.Flags().StringVar(&store, "store", "", "`URL` of a new store of several machines, as given to serve")
	cmd.Flags().StringSliceVar(&nats.Monitors, "nats-monitor", nil, "`URL` of the monitoring port of each NATS server, as given to serve")
	cmd.Flags().BoolVar(&nats.AcceptLazySync, "accept-lazy-sync", false, "as given to serve")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print what was done as JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if store != "" {
			if data != "" {
				return usagef("--store %s and --data %s are two places; leave one out", store, data)
			}
			return a.restoreInto(cmd.Context(), args[0], store, nats, asJSON)
		}
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

// restoreInto makes a store of several machines from an archive.
func (a *app) restoreInto(ctx context.Context, from, url string, nats jetstream.Options, asJSON bool) error {
	if err := stores.CheckURL(url); err != nil || !stores.Remote(url) {
		return usagef("--store %s: write nats://host:4222,host:4222,host:4222/NAME (%w)", stores.Show(url), err)
	}
	var in io.Reader = a.in
	if from != "-" {
		f, err := os.Open(from)
		if err != nil {
			return usagef("%w", err)
		}
		defer f.Close()
		st, err := f.Stat()
		if err == nil && st.IsDir() {
			return usagef("%s is a folder, and only an archive goes into a store of several machines: make one with glassq backup --data %s --archive FILE", from, from)
		}
		if err == nil && st.Mode().IsRegular() { // before it leaves something behind that is no store
			if _, err = disk.CheckArchive(bufio.NewReaderSize(f, 1<<20)); err == nil {
				_, err = f.Seek(0, io.SeekStart)
			}
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", from, err)
		}
		in = f
	}
	opt := stores.Options{NATS: nats, Logger: a.console.Logger()}
	n, err := stores.Restore(ctx, url, bufio.NewReaderSize(in, 1<<20), opt)
	if err != nil {
		return fmt.Errorf("restore %s to %s: %w", from, stores.Show(url), err)
	}
	return a.answer(asJSON, map[string]any{"store": stores.Show(url), "tasks": n}, "%s: %s", stores.Show(url), plain.Plural(n, "task", "tasks"))
}
