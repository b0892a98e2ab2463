package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/client"
	"github.com/glassq/glassq/internal/disk"
	"github.com/glassq/glassq/internal/report"
	"github.com/spf13/cobra"
)

func (a *app) backupCmd() *cobra.Command {
	var data string
	var asJSON bool
	var r remote
	cmd := &cobra.Command{
		Use:   "backup OUT",
		Short: "Copy the data of a server, running or stopped, into a new folder",
		Long: `Copy the data of a server into the new folder OUT, synced, and check the copy as a start would.

With --server a running server is copied, over HTTP, while it works on: the copy is the data as of one moment
after the call. Everything that was answered OK before is in it, and nothing by half. The server frees no
disk meanwhile.

Without --server it is the folder --data of a stopped server. A folder that a server uses is refused: its
files change while they are copied.`,
		Example: `  glassq backup --server http://127.0.0.1:5080 /backups/monday
  glassq backup --data d /backups/monday`,
		Args: arguments(1, 1),
	}
	cmd.Flags().StringVar(&data, "data", "", "`folder` of the data of a stopped server; default $XDG_STATE_HOME/glassq")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print what was done as JSON")
	r.flags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if data == "" && cmd.Flags().Changed("server") {
			return a.copyServer(cmd, &r, args[0], asJSON)
		}
		dir, err := dataFolder(data)
		if err != nil {
			return err
		}
		err = a.copyStore(dir, args[0], disk.Copy, asJSON)
		if glassq.CodeOf(err) == glassq.CodeUnavailable {
			return fmt.Errorf("%w; or copy the running server with --server URL", err)
		}
		return err
	}
	return cmd
}

func (a *app) copyStore(from, to string, how func(from, to string) (disk.Copied, error), asJSON bool) error {
	if err := newFolder(to); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(from, "format")); err != nil {
		return usagef("%s is not the data of a server: %w", from, err)
	}
	c, err := how(from, to)
	if err != nil {
		return fmt.Errorf("copy %s to %s: %w", from, to, err)
	}
	return a.sayCopied(to, c, asJSON)
}

// copyServer copies a running server.
func (a *app) copyServer(cmd *cobra.Command, r *remote, to string, asJSON bool) error {
	if err := newFolder(to); err != nil {
		return err
	}
	return a.oneShot(cmd, r, func(q *client.Client) error {
		begun := false
		c, err := disk.Receive(to, func(file func(string, int64, io.Reader) error) error {
			return q.Copy(cmd.Context(), func(name string, size int64, in io.Reader) error {
				begun = true
				return file(name, size, in)
			})
		})
		switch {
		case err == nil:
		case begun && errors.Is(err, client.ErrUnreachable):
			return &exitError{exitServer, fmt.Errorf("copy %s to %s: %w; nothing was kept, try again", r.server, to, err)}
		default:
			return fmt.Errorf("copy %s to %s: %w", r.server, to, err)
		}
		return a.sayCopied(to, c, asJSON)
	})
}

func (a *app) sayCopied(to string, c disk.Copied, asJSON bool) error {
	if asJSON {
		return a.printJSON(map[string]any{"folder": to, "files": c.Files, "tasks": c.Tasks, "queues": c.Queues})
	}
	return a.printf("%s: %s, %s in %s, checked\n", to, report.Plural(uint64(c.Files), "file", "files"),
		report.Plural(uint64(c.Tasks), "task", "tasks"), report.Plural(uint64(c.Queues), "queue", "queues"))
}
