package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/client"
	"github.com/glassq/glassq/internal/disk"
	"github.com/glassq/glassq/internal/plain"
	"github.com/glassq/glassq/internal/wal"
	"github.com/spf13/cobra"
)

func (a *app) backupCmd() *cobra.Command {
	var data string
	var asJSON, archive bool
	var r remote
	cmd := &cobra.Command{
		Use:   "backup OUT",
		Short: "Copy the data of a server, running or stopped, into a new folder or an archive",
		Long: `Copy the data of a server into the new folder OUT, synced, and check the copy as a start would.

With --server a running server is copied, over HTTP, while it works on: the copy is the data as of one moment
after the call. Everything that was answered OK before is in it, and nothing by half. The server frees no
disk meanwhile.

Without --server it is the folder --data of a stopped server. A folder that a server uses is refused: its
files change while they are copied.

With --archive OUT is one file, - for standard output: an archive, from which restore makes a store of any
kind. It has the tasks that are there and the books, and none of what was done and freed, so it is mostly smaller
than a copy of the files.`,
		Example: `  glassq backup --server http://127.0.0.1:5080 /backups/monday
  glassq backup --data d /backups/monday
  glassq backup --server http://127.0.0.1:5080 --archive monday.gqa`,
		Args: arguments(1, 1),
	}
	cmd.Flags().StringVar(&data, "data", "", "`folder` of the data of a stopped server; default $XDG_STATE_HOME/glassq")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print what was done as JSON")
	cmd.Flags().BoolVar(&archive, "archive", false, "write one file, which any kind of store can be made of")
	r.flags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if archive && data == "" && cmd.Flags().Changed("server") {
			return a.oneShot(cmd, &r, func(q *client.Client) error {
				return a.writeArchive(args[0], asJSON, func(w io.Writer) error { return q.Archive(cmd.Context(), w) })
			})
		}
		if data == "" && cmd.Flags().Changed("server") {
			return a.copyServer(cmd, &r, args[0], asJSON)
		}
		dir, err := dataFolder(data)
		if err != nil {
			return err
		}
		if err := isStore(dir); err != nil {
			return err
		}
		if archive {
			err = a.writeArchive(args[0], asJSON, func(w io.Writer) error { return disk.Archive(cmd.Context(), dir, w) })
		} else {
			err = a.copyStore(dir, args[0], disk.Copy, asJSON)
		}
		if glassq.CodeOf(err) == glassq.CodeUnavailable {
			return fmt.Errorf("%w; or copy the running server with --server URL", err)
		}
		return err
	}
	return cmd
}

func (a *app) copyStore(from, to string, how func(from, to string) (disk.Copied, error), asJSON bool) error {
	if err := disk.Vacant(to); err != nil {
		return err
	}
	c, err := how(from, to)
	if err != nil {
		return fmt.Errorf("copy %s to %s: %w", from, to, err)
	}
	return a.sayCopied(to, c, asJSON)
}

// isStore refuses a folder that holds no store.
func isStore(dir string) error {
	if _, err := os.Stat(dir); err != nil {
		return usagef("%w", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "format")); err != nil {
		return usagef("%s is not the data of a server: %w", dir, err)
	}
	return nil
}

// writeArchive writes an archive into the new file to, and checks it; or to standard output, where
// a reader has to do that.
func (a *app) writeArchive(to string, asJSON bool, write func(io.Writer) error) error {
	if to == "-" {
		if asJSON {
			return usagef("--json and an archive cannot both go to standard output; name a file")
		}
		return write(a.out)
	}
	if _, err := os.Lstat(to); err == nil {
		return usagef("%s is there already; nothing was written: name a new file", to)
	}
	part := to + ".part"
	f, err := rewrite(part, 0o600)
	if err != nil {
		return fmt.Errorf("archive to %s: %w", to, err)
	}
	c, err := fileArchive(f, write)
	if err == nil {
		err = os.Rename(part, to)
	}
	if err == nil {
		err = wal.DirFS(filepath.Dir(to)).SyncDir()
	}
	if err != nil {
		os.Remove(part)
		return fmt.Errorf("archive to %s: %w", to, err)
	}
	return a.answer(asJSON, map[string]any{"archive": to, "tasks": c.Tasks, "queues": c.Queues}, "%s: %s in %s, checked", to, plain.Plural(c.Tasks, "task", "tasks"),
		plain.Plural(c.Queues, "queue", "queues"))
}

// fileArchive writes an archive into a file, synced, reads it again, and closes it.
func fileArchive(f *os.File, write func(io.Writer) error) (c disk.Copied, err error) {
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := write(f); err != nil {
		return c, err
	}
	if err := f.Sync(); err != nil {
		return c, err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return c, err
	}
	return disk.CheckArchive(bufio.NewReaderSize(f, 1<<20))
}

// copyServer copies a running server.
func (a *app) copyServer(cmd *cobra.Command, r *remote, to string, asJSON bool) error {
	if err := disk.Vacant(to); err != nil {
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
	return a.answer(asJSON, map[string]any{"folder": to, "files": c.Files, "tasks": c.Tasks, "queues": c.Queues}, "%s: %s, %s in %s, checked", to, plain.Plural(c.Files, "file", "files"),
		plain.Plural(c.Tasks, "task", "tasks"), plain.Plural(c.Queues, "queue", "queues"))
}
