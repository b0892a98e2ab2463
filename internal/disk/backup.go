package disk

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/engine"
	"github.com/glassq/glassq/internal/wal"
)

// A Copied tells what Copy copied.
type Copied struct {
	Files, Queues int
	Tasks         int64
}

// Copy copies the store in from, which no server may use meanwhile, into to, which is made or
// empty, and then reads the copy as a start and as hand-outs would. Damage to what is needed is
// code damaged, a store in use is unavailable; a copy that does not check out is removed again.
func Copy(from, to string) (Copied, error) { return copyStore(from, to, false) }

// Restore is Copy of a copy into the folder of a server. Numbers of leases that the original may
// have handed out since are not used there. A from that is a file is an archive.
func Restore(from, to string) (Copied, error) {
	if st, err := os.Stat(from); err != nil || st.IsDir() {
		return copyStore(from, to, true)
	}
	f, err := os.Open(from)
	if err != nil {
		return Copied{}, err
	}
	defer f.Close()
	return Unarchive(bufio.NewReaderSize(f, 1<<20), to)
}

// Unarchive makes a store of an archive in to, as Restore does.
func Unarchive(archive io.Reader, to string) (Copied, error) {
	return fill(to, func(dst wal.FS) (Copied, error) {
		e, err := Open(to, Options{MinFree: Watermark{Bytes: -1}, filling: true, from: archive})
		if err != nil {
			return Copied{}, err
		}
		c, err := e.copied()
		if err = errors.Join(err, e.Close()); err != nil {
			return c, err
		}
		names, err := dst.List()
		for _, name := range names {
			if wal.Copied(name) {
				c.Files++
			}
		}
		return c, err
	})
}

// Archive is Engine.Archive of the store in the folder from, which no server may use and of which
// nothing is changed.
func Archive(ctx context.Context, from string, w io.Writer) error {
	src := wal.DirFS(from)
	lock, err := wal.LockDir(src)
	if err != nil {
		return openErr(err)
	}
	defer lock.Close()
	over := wal.NewOverlay(src)
	e, err := Open(from, Options{FS: over, MinFree: Watermark{Bytes: -1}})
	if err != nil {
		return err
	}
	err = e.Archive(ctx, w)
	over.Forget() // the checkpoint of Close, which would be in memory
	return errors.Join(err, e.Close())
}

// CheckArchive reads an archive as Unarchive does, without making a store of it.
func CheckArchive(archive io.Reader) (c Copied, err error) {
	c.Files = 1
	c.Queues, c.Tasks, err = engine.CheckArchive(archive)
	return c, err
}

// Vacant refuses a folder that cannot be filled by a copy, because it holds something.
func Vacant(to string) error {
	_, err := wal.Vacant(to)
	return notEmpty(err)
}

func notEmpty(err error) error {
	if errors.Is(err, wal.ErrNotEmpty) {
		return glassq.Errorf(glassq.CodeBadRequest, "%w; nothing was copied: name a new folder, or move this one away", err)
	}
	return err
}

func copyStore(from, to string, apart bool) (Copied, error) {
	src := wal.DirFS(from)
	lock, err := wal.LockDir(src)
	if err != nil {
		return Copied{}, openErr(err)
	}
	defer lock.Close()
	if err := wal.Finished(src); err != nil {
		return Copied{}, openErr(fmt.Errorf("%s: %w", from, err))
	}
	return fill(to, func(dst wal.FS) (Copied, error) {
		files, err := wal.Copy(src, dst)
		if err != nil {
			return Copied{}, err
		}
		return check(to, files, apart)
	})
}

// Receive writes the files that from passes on, as a glassq.Copier does, into to, which is made or
// empty, and then checks them as Copy does.
func Receive(to string, from func(file func(name string, size int64, r io.Reader) error) error) (Copied, error) {
	return fill(to, func(dst wal.FS) (Copied, error) {
		whole, files := false, 0
		err := from(func(name string, size int64, r io.Reader) error {
			files++
			whole = whole || name == "format"
			return wal.Receive(dst, name, size, r)
		})
		switch {
		case err != nil:
		case !whole:
			err = glassq.Errorf(glassq.CodeUnavailable, "the copy was cut short after %d files", files)
		default:
			err = dst.SyncDir()
		}
		if err != nil {
			return Copied{}, err
		}
		return check(to, files, false)
	})
}

// fill has make a store in to. Until it is whole no start takes it, also when this process is
// killed.
func fill(to string, build func(dst wal.FS) (Copied, error)) (c Copied, err error) {
	f, err := wal.Fill(to)
	if err != nil {
		return c, openErr(notEmpty(err))
	}
	if c, err = build(wal.DirFS(to)); err != nil {
		return c, errors.Join(err, f.Abort())
	}
	return c, f.Done()
}

// check reads the copy in to as a start and as hand-outs would. apart leaves out lease numbers
// there.
func check(to string, files int, apart bool) (Copied, error) {
	c := Copied{Files: files}
	s, _, err := survey(wal.DirFS(to))
	if err != nil {
		return c, err
	}
	losses := append(s.Losses, slices.DeleteFunc(s.Unread, func(l wal.Loss) bool { return l.Needed == 0 })...)
	if len(losses) > 0 {
		return c, glassq.Errorf(glassq.CodeDamaged, "stored data is damaged: %s; glassq repair shows what can be kept",
			losses[0])
	}
	e, err := Open(to, Options{MinFree: Watermark{Bytes: -1}, filling: true})
	if err != nil {
		return c, fmt.Errorf("start on the copy: %w", err)
	}
	held, err := e.copied()
	c.Queues, c.Tasks = held.Queues, held.Tasks
	if apart && err == nil {
		err = e.SkipNumbers(engine.Apart)
	}
	return c, errors.Join(err, e.Close())
}

// copied counts what a copy holds.
func (e *Engine) copied() (c Copied, err error) {
	queues, err := e.Queues(context.Background())
	c.Queues = len(queues)
	for _, q := range queues {
		c.Tasks += q.Ready + q.Delayed + q.Leased + q.Dead
	}
	return c, err
}

// Copy passes on a copy of the store as it is after a checkpoint that it writes first; see
// glassq.Copier.
func (e *Engine) Copy(ctx context.Context, file func(name string, size int64, r io.Reader) error) error {
	l := e.log
	var c *wal.Copying
	err := e.Checkpoint(func(at uint64) (err error) {
		if c, err = l.wal.BeginCopy(posOf(at)); err == nil {
			l.copies.Add(1)
		}
		return err
	})
	if err != nil {
		return err
	}
	defer func() {
		c.Close()
		l.copies.Add(-1)
		e.Look()
	}()
	return c.Files(func(name string, size int64, r io.Reader) error {
		return file(name, size, &copyReader{ctx, e, r})
	})
}

// A copyReader ends with the context or the engine.
type copyReader struct {
	ctx context.Context
	e   *Engine
	r   io.Reader
}

func (c *copyReader) Read(b []byte) (int, error) {
	if c.e.closing.Load() {
		return 0, glassq.ErrClosed
	}
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(b)
}
