package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/glassq/glassq/internal/output"
	"github.com/vbauerster/mpb/v8"
)

// A console is standard error: lines for people, and at most one bar. It is safe for concurrent use.
type console struct {
	terminal bool

	mu  sync.Mutex // guards the fields below
	w   io.Writer
	bar bool      // a bar stands on the last line
	top io.Writer // writes above bars; nil without them
}

func newConsole(f *os.File) *console {
	return &console{w: f, terminal: isTerminal(f) && os.Getenv("TERM") != "dumb"}
}

// isTerminal reports whether a person may be looking at f.
func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull)
	return err != nil || !os.SameFile(info, null)
}

// Write writes a whole line or more, before the bar if there is one. What cannot be shown is lost:
// there is nowhere left to say so.
func (c *console) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.top != nil {
		if n, err := c.top.Write(p); err == nil {
			return n, nil
		}
	}
	if c.bar {
		io.WriteString(c.w, "\r\x1b[K")
	}
	return c.w.Write(p)
}

// say writes a line.
func (c *console) say(format string, args ...any) {
	fmt.Fprintf(c, format+"\n", args...)
}

// logger logs to the console.
func (c *console) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(c, &slog.HandlerOptions{Level: slog.LevelInfo}))
}

// A meter shows how far a command has come; a quiet one shows nothing.
type meter struct {
	console *console
	p       *output.Progress // one line, or
	board   *board           // all of a run
}

// meter starts a meter. It is a bar when standard error is a terminal and standard output, which has
// data of this command then, is not.
func (a *app) meter(label string, quiet, data bool) *meter {
	if quiet {
		return &meter{console: a.console}
	}
	bar := a.console.terminal && !(data && isTerminal(a.out))
	a.console.setBar(bar)
	return &meter{console: a.console, p: output.NewProgress(barWriter{a.console}, bar, label)}
}

// boardNames are the bars of a board.
var boardNames = []string{"put", "done", "out"}

// runMeter is a meter that on a terminal shows all of a run: what is put, done and out.
func (a *app) runMeter(label string, quiet, data bool, q teller, run string) *meter {
	if quiet || !a.console.terminal || data && isTerminal(a.out) {
		return a.meter(label, quiet, data)
	}
	b := newBars(a.console.w, boardNames, mpb.WithConsoleWriter(newScreen(a.console.w)))
	a.console.setTop(b)
	return &meter{console: a.console, board: newBoard(b, q, run)}
}

// set says how much is done, which on a board is put.
func (m *meter) set(done, total uint64) {
	if m.board != nil {
		m.board.puts(done, total)
	}
	if m.p != nil {
		m.p.Set(done, total)
	}
}

// before says how much of what is done was done by earlier calls.
func (m *meter) before(done uint64) {
	if m.p != nil {
		m.p.Before(done)
	}
}

func (m *meter) note(text string) {
	if m.p != nil {
		m.p.Note(text)
	}
}

// close shows the last figures. A second close is a no-op.
func (m *meter) close() {
	if m.p != nil {
		m.p.Close()
		m.console.setBar(false)
	}
	if m.board != nil {
		m.board.close()
		m.console.setTop(nil)
		m.board = nil
	}
}

func (c *console) setTop(w io.Writer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.top = w
}

func (c *console) setBar(on bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bar = on
}

// barWriter is the console for the bar itself.
type barWriter struct{ c *console }

func (b barWriter) Write(p []byte) (int, error) {
	b.c.mu.Lock()
	defer b.c.mu.Unlock()
	return b.c.w.Write(p)
}

// commas writes n with a comma before every three digits.
func commas(n uint64) string {
	s := strconv.FormatUint(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// plural is a number and what it counts, in the form that fits.
func plural(n uint64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return commas(n) + " " + many
}

// perSecond is a rate for people.
func perSecond(n uint64, d time.Duration) string {
	if d <= 0 {
		return "0"
	}
	return commas(uint64(float64(n)/d.Seconds() + 0.5))
}

// brief rounds a duration for people, to three digits or so.
func brief(d time.Duration) string {
	unit := time.Nanosecond
	for d/unit >= 1000 {
		unit *= 10
	}
	return d.Round(unit).String()
}
