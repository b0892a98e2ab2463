package disk

import (
	"fmt"
	"os"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/wal"
)

// A Copied tells what Copy copied.
type Copied struct {
	Files, Queues int
	Tasks         int64
}

// Copy copies the store in from, which no server may use meanwhile, into to, which is made or empty,
// and then reads the copy as a start and as hand-outs would: every frame of it. Damage is code damaged,
// a store in use is unavailable; a copy that does not check out is removed again.
func Copy(from, to string) (c Copied, err error) {
	src := wal.DirFS(from)
	lock, err := wal.LockDir(src)
	if err != nil {
		return c, openErr(err)
	}
	defer lock.Close()
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
	if c.Files, err = wal.Copy(src, dst); err != nil {
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
	return c, e.Close()
}
