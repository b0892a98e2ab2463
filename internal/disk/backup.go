package disk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/wal"
)

// A Copied tells what Copy copied.
type Copied struct {
	Files, Queues int
	Tasks         int64
}

// numbersApart is how many lease numbers a restored store leaves out, so that none of those that the
// original handed out after its copy is handed out again.
const numbersApart = 1 << 40

// Copy copies the store in from, which no server may use meanwhile, into to, which is made or empty,
// and then reads the copy as a start and as hand-outs would: every frame of it. Damage is code damaged,
// a store in use is unavailable; a copy that does not check out is removed again.
func Copy(from, to string) (Copied, error) { return copyStore(from, to, 0) }

// Restore is Copy of a copy into the folder of a server. Numbers of leases that the original may have
// handed out since are not used there.
func Restore(from, to string) (Copied, error) { return copyStore(from, to, numbersApart) }

func copyStore(from, to string, apart uint64) (Copied, error) {
	src := wal.DirFS(from)
	lock, err := wal.LockDir(src)
	if err != nil {
		return Copied{}, openErr(err)
	}
	defer lock.Close()
	return fill(to, apart, func(dst wal.FS) (int, error) { return wal.Copy(src, dst) })
}

// Receive writes the files that from passes on, as a glassq.Copier does, into to, which is made or empty,
// and then checks them as Copy does.
func Receive(to string, from func(file func(name string, size int64, r io.Reader) error) error) (Copied, error) {
	return fill(to, 0, func(dst wal.FS) (files int, err error) {
		whole := false
		err = from(func(name string, size int64, r io.Reader) error {
			files++
			whole = whole || name == "format"
			return wal.Receive(dst, name, size, r)
		})
		switch {
		case err != nil:
			return files, err
		case !whole:
			return files, glassq.Errorf(glassq.CodeUnavailable, "the copy was cut short after %d files", files)
		}
		return files, dst.SyncDir()
	})
}

// fill makes a copy in to and checks it.
func fill(to string, apart uint64, files func(dst wal.FS) (int, error)) (c Copied, err error) {
	_, there := os.Stat(to)
	if err := wal.MakeDir(to); err != nil {
		return c, err
	}
	defer func() {
		if err != nil && os.IsNotExist(there) {
			os.RemoveAll(to)
		}
	}()
	dst := wal.DirFS(to)
	if c.Files, err = files(dst); err != nil {
		return c, err
	}
	s, v, err := survey(dst)
	if err != nil {
		return c, err
	}
	if !s.Whole() {
		return c, glassq.Errorf(glassq.CodeDamaged, "stored data is damaged: %s; glassq repair shows what can be kept", s.Losses[0])
	}
	// What lies before the checkpoint was not read by that.
	if first := v.First(); first > 0 {
		if err := v.Frames(first, func(wal.Frame, bool) error { return nil }); err != nil {
			return c, err
		}
		for _, l := range v.Losses {
			if l.Offset > 0 { // not a segment that was removed because nothing in it is needed
				return c, glassq.Errorf(glassq.CodeDamaged, "stored data is damaged: %s; glassq repair shows what can be kept", l)
			}
		}
	}
	c.Queues = len(s.Queues)
	for _, q := range s.Queues {
		c.Tasks += q.Ready + q.Delayed + q.Leased + q.Dead
	}
	e, err := Open(to, Options{MinFree: Watermark{Bytes: -1}})
	if err != nil {
		return c, fmt.Errorf("start on the copy: %w", err)
	}
	if apart > 0 {
		err = e.SkipNumbers(func(limit uint64) uint64 {
			if limit+apart >= 1<<53-numbersApart {
				return limit
			}
			return limit + apart
		})
	}
	return c, errors.Join(err, e.Close())
}

// Copy passes on a copy of the store as it is after a checkpoint that it writes first; see glassq.Copier.
func (e *Engine) Copy(ctx context.Context, file func(name string, size int64, r io.Reader) error) error {
	l := e.log
	count := func(by int) {
		l.mu.Lock()
		l.copies += by
		l.mu.Unlock()
	}
	var c *wal.Copying
	err := e.Checkpoint(func(at uint64) (err error) {
		if c, err = l.wal.BeginCopy(posOf(at)); err == nil {
			count(1)
		}
		return err
	})
	if err != nil {
		return err
	}
	defer func() {
		c.Close()
		count(-1)
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
	select {
	case <-c.ctx.Done():
		return 0, c.ctx.Err()
	case <-c.e.log.stop:
		return 0, glassq.ErrClosed
	default:
		return c.r.Read(b)
	}
}
