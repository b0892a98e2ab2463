package process

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/envelope"
	"github.com/glassq/glassq/worker"
)

const (
	progressEnv   = taskEnv + "PROGRESS"   // a file to which a command appends lines of progress
	checkpointEnv = taskEnv + "CHECKPOINT" // a file with the checkpoint of the try before, if there is one

	lookEvery  = time.Second
	mostUnread = 1 << 20 // bytes of a line
)

// A journal is the file to which one command writes what it says of its task, and the one with the
// checkpoint to go on from. Neither is made unless it is needed.
type journal struct {
	log        *slog.Logger
	l          *glassq.Lease
	r          *worker.Reply
	path       string
	checkpoint string // its file; "" for none

	cancel context.CancelFunc
	wg     sync.WaitGroup // the goroutine that looks

	// Those below belong to that goroutine, and to finish after it.
	off     int64 // up to there the file is read
	refused error // why something that the command said is not kept
}

// newJournal names the files of a task, and writes the one with its checkpoint. The caller must
// remove it.
func newJournal(dir string, log *slog.Logger, l *glassq.Lease, r *worker.Reply) (*journal, error) {
	j := &journal{log: log, l: l, r: r, path: filepath.Join(dir, strconv.FormatUint(l.Number, 10))}
	if l.Progress == nil || len(l.Progress.Checkpoint) == 0 {
		return j, nil
	}
	j.checkpoint = j.path + ".checkpoint"
	if err := os.WriteFile(j.checkpoint, l.Progress.Checkpoint, 0o600); err != nil {
		return nil, fmt.Errorf("write the checkpoint: %w", err) // without it the command would begin anew
	}
	return j, nil
}

func (j *journal) env(env []string) []string {
	if j.checkpoint != "" {
		env = append(env, checkpointEnv+"="+j.checkpoint)
	}
	return append(env, progressEnv+"="+j.path)
}

// follow looks for what the command says, until finish.
func (j *journal) follow(ctx context.Context) {
	ctx, j.cancel = context.WithCancel(ctx)
	j.wg.Go(func() {
		every := time.NewTicker(lookEvery)
		defer every.Stop()
		for {
			select {
			case <-every.C:
				j.look(ctx, false)
			case <-ctx.Done():
				return
			}
		}
	})
}

// finish says what the command has said last. The command has ended. Its error is about what was
// refused.
func (j *journal) finish(ctx context.Context) error {
	j.cancel()
	j.wg.Wait()
	for ctx.Err() == nil && j.look(ctx, true) {
	}
	if j.refused != nil {
		return fmt.Errorf("what the command said of its task is refused: %w", j.refused)
	}
	return nil
}

func (j *journal) remove() {
	for _, name := range []string{j.path, j.checkpoint} {
		if name == "" {
			continue
		}
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			j.log.Warn("a file of a task stays", "file", name, "err", err)
		}
	}
}

// look says what is new in the file, as one, and tells whether there was something. At the end of
// the command its last line needs no line break.
func (j *journal) look(ctx context.Context, end bool) bool {
	text, err := j.read()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		j.refused = cmp.Or(j.refused, err)
	}
	whole := bytes.LastIndexByte(text, '\n') + 1
	if end && len(text) < mostUnread {
		whole = len(text)
	}
	if whole == 0 && len(text) == mostUnread {
		j.refuse(text, fmt.Errorf("a line of over %d bytes", mostUnread))
		whole = len(text)
	}
	if whole == 0 {
		return false
	}
	j.off += int64(whole)
	var all glassq.Extend
	for line := range bytes.Lines(text[:whole]) {
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		var x glassq.Extend
		if err := envelope.ParseSaying(line, &x); err != nil {
			j.refuse(line, err)
			continue
		}
		join(&all, &x)
	}
	if all.Progress == nil && len(all.Put) == 0 {
		return true
	}
	if err := tell(ctx, j.log, j.l, j.r, &all); err != nil {
		j.refuse(text[:whole], err)
	}
	return true
}

func (j *journal) refuse(line []byte, err error) {
	if j.refused == nil {
		j.refused = err
		j.log.Warn("what a command said of its task is refused", "task", j.l.TaskID(), "err", err, "line", quote(line))
	}
}

// read reads what is new. A file that has become shorter was begun anew.
func (j *journal) read() ([]byte, error) {
	f, err := os.Open(j.path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() < j.off {
		j.off = 0
	}
	return io.ReadAll(io.NewSectionReader(f, j.off, mostUnread))
}

// join has all say what x says after it.
func join(all, x *glassq.Extend) {
	all.Put = append(all.Put, x.Put...)
	if x.Progress == nil {
		return
	}
	if all.Progress == nil {
		all.Progress = x.Progress
		return
	}
	if p := all.Progress; x.Progress.Done >= 0 {
		p.Done = x.Progress.Done
	}
	all.Progress.Note = cmp.Or(x.Progress.Note, all.Progress.Note)
	if x.Progress.Checkpoint != nil {
		all.Progress.Checkpoint = x.Progress.Checkpoint
	}
}
