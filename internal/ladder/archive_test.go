package ladder

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/glassq/glassq/internal/disk"
	"github.com/glassq/glassq/internal/wal"
	"github.com/glassq/glassq/internal/wal/waltest"
)

// archive closes the store, and goes on with one that is made of its archive.
func (p *play) archive(ctx context.Context) error {
	p.d.m.advance(p.d.now())
	fs, err := moved(ctx, p.fs, p.e, p.rng.IntN(2) == 0)
	if err != nil {
		return err
	}
	p.listen(fs)
	if err := p.open(); err != nil {
		return err
	}
	p.d.s = p.e
	return p.same(ctx)
}

// moved closes a store, and returns the files of a folder that is made of its archive: one that was written while it
// ran, or of its folder when that was stopped.
func moved(ctx context.Context, files *waltest.FS, e *disk.Engine, stopped bool) (*waltest.FS, error) {
	dir, err := os.MkdirTemp("", "ladder")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
	var archive bytes.Buffer
	if !stopped {
		err = e.Archive(ctx, &archive)
	}
	if err = errors.Join(err, e.Close()); err == nil && stopped {
		if err = unload(files, from); err == nil {
			err = disk.Archive(ctx, from, &archive)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("archive (stopped %v): %w", stopped, err)
	}
	if _, err := disk.Unarchive(&archive, to); err != nil {
		return nil, fmt.Errorf("store of an archive (stopped %v): %w", stopped, err)
	}
	return load(to)
}

// unload writes files into a folder, and load reads those of one.
func unload(files *waltest.FS, dir string) error {
	if err := wal.MakeDir(dir); err != nil {
		return err
	}
	_, err := wal.Copy(files, wal.DirFS(dir))
	return err
}

func load(dir string) (*waltest.FS, error) {
	files := waltest.NewFS()
	_, err := wal.Copy(wal.DirFS(dir), files)
	return files, err
}
