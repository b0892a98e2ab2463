// Package audit keeps who did what to a server: a line of JSON for each action of a person or a
// token, in files beside the data.
//
// Nobody waits for a line: it is written after the action was answered, and synced by the system. A
// disk that is full costs lines, which are counted, and never an action. Which actions there are is
// told by the table of package rights; this package knows lines and files.
package audit

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"
)

const (
	// FileName is the newest file; the one before it is OldName. Together they have at most
	// 2*fileSize bytes.
	FileName = "audit.ndjson"
	OldName  = "audit.1.ndjson"

	fileSize = 32 << 20
	maxText  = 1000 // bytes of a text in a line
	waiting  = 4096 // lines that wait to be written; those beyond are lost, and counted
)

// OK is the Outcome of what was done; others are the codes of errors.
const OK = "ok"

// ActionLost is the action of a line that stands for Count lines that could not be written.
const ActionLost = "audit_lost"

// An Entry is one action.
type Entry struct {
	Time    time.Time `json:"time"`
	Action  string    `json:"action"`
	Who     string    `json:"who"`            // a token by its name; key, guest, unknown; system for a signal or a file
	Door    string    `json:"door,omitempty"` // "" is none: it was done on the server's machine
	From    string    `json:"from,omitempty"` // address of the client, "local" for one without
	Queue   string    `json:"queue,omitempty"`
	Run     string    `json:"run,omitempty"`
	What    string    `json:"what,omitempty"`  // settings and states that it was about, or the name of a token
	Count   int64     `json:"count,omitempty"` // tasks that it was about
	Outcome string    `json:"outcome"`         // OK, or the code of the error
}

// Options tunes New.
type Options struct {
	Folder string                        // where the files are; "" keeps none
	Logger *slog.Logger                  // nil discards
	Heard  func(context.Context, *Entry) // hears of each entry at once; it must not block. nil for nobody
}

// A Log takes entries, and writes them while Run does. A nil Log takes none. It is safe for
// concurrent use.
type Log struct {
	opt   Options
	lines chan []byte
	lost  atomic.Int64

	file   *os.File // nil: not open. It and what follows are of Run
	size   int64    // of file
	failed bool     // the last line could not be written, which was said
}

// New makes a log. It writes nothing until Run.
func New(opt Options) *Log {
	if opt.Logger == nil {
		opt.Logger = slog.New(slog.DiscardHandler)
	}
	return &Log{opt: opt, lines: make(chan []byte, waiting)}
}

// Note takes an entry, whose time and outcome are set where they are not. It never blocks.
func (l *Log) Note(ctx context.Context, e Entry) {
	if l == nil {
		return
	}
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	e.Time = e.Time.UTC().Round(time.Millisecond)
	if e.Outcome == "" {
		e.Outcome = OK
	}
	e.What = e.What[:min(len(e.What), maxText)]
	if l.opt.Heard != nil {
		l.opt.Heard(ctx, &e)
	}
	if l.opt.Folder == "" {
		return
	}
	select {
	case l.lines <- lineOf(&e):
	default:
		l.lost.Add(1)
	}
}

func lineOf(e *Entry) []byte {
	line, _ := json.Marshal(e) // texts, a number and a time cannot fail
	return append(line, '\n')
}

// Run writes until ctx is done, and then what was noted before that. It is called once.
func (l *Log) Run(ctx context.Context) {
	defer func() {
		if l.file != nil {
			l.file.Close()
		}
	}()
	for {
		select {
		case line := <-l.lines:
			l.writeLine(line)
		case <-ctx.Done():
			for {
				select {
				case line := <-l.lines:
					l.writeLine(line)
				default:
					return
				}
			}
		}
	}
}

// writeLine writes a line, after one that tells of those that were lost. A line that cannot be
// written is lost.
func (l *Log) writeLine(line []byte) {
	lost := l.lost.Swap(0)
	if lost > 0 {
		line = append(lineOf(&Entry{Time: time.Now().UTC().Round(time.Millisecond), Action: ActionLost, Who: "system",
			Count: lost, Outcome: OK}), line...)
	}
	err := l.put(line)
	switch {
	case err != nil:
		l.lost.Add(lost + 1)
		if !l.failed {
			l.opt.Logger.Error("the audit cannot be written; the server goes on, and the lines that are lost are counted", "err", err)
		}
	case l.failed:
		l.opt.Logger.Info("the audit is written again", "lost", lost)
	}
	l.failed = err != nil
}

// put appends text to the file. A text that the disk takes a part of is taken back.
func (l *Log) put(text []byte) error {
	name := filepath.Join(l.opt.Folder, FileName)
	if l.file != nil && !l.inPlace(name) {
		l.file.Close() // each line has had its own answer
		l.file = nil
	}
	if l.file == nil {
		if err := l.open(); err != nil {
			return err
		}
	}
	if l.size+int64(len(text)) > fileSize {
		l.file.Close()
		l.file = nil
		if err := os.Rename(name, filepath.Join(l.opt.Folder, OldName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := l.open(); err != nil {
			return err
		}
	}
	if _, err := l.file.WriteAt(text, l.size); err != nil {
		return errors.Join(err, l.file.Truncate(l.size))
	}
	l.size += int64(len(text))
	return nil
}

// inPlace reports whether the open file is the one of that name still, and ends where this log left
// it. Others remove a file, move it, or cut it short: a line must not follow it to where nobody reads.
func (l *Log) inPlace(name string) bool {
	there, err := os.Stat(name)
	if err != nil {
		return false
	}
	own, err := l.file.Stat()
	return err == nil && os.SameFile(there, own) && own.Size() == l.size
}

// open opens the file behind its last whole line: what a kill has left of another is cut off.
func (l *Log) open() error {
	f, err := os.OpenFile(filepath.Join(l.opt.Folder, FileName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	size, err := wholeLines(f)
	if err == nil {
		err = f.Truncate(size)
	}
	if err != nil {
		f.Close()
		return err
	}
	l.file, l.size = f, size
	return nil
}

// wholeLines is how many bytes of f are whole lines. A last line that is longer than any of ours is
// left as it is.
func wholeLines(f *os.File) (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	size := info.Size()
	tail := make([]byte, min(size, maxLine))
	if _, err := f.ReadAt(tail, size-int64(len(tail))); err != nil && err != io.EOF {
		return 0, err
	}
	for i := len(tail); i > 0; i-- {
		if tail[i-1] == '\n' {
			return size - int64(len(tail)-i), nil
		}
	}
	return size - int64(len(tail)), nil
}
