// Package term is what the commands show to people: standard error as lines above a bar, one-line
// progress, the bars of a run, and figures. It knows no command and no flag.
package term

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/glassq/glassq/internal/plain"
)

// A Console is standard error: lines for people, and at most one bar. It is safe for concurrent
// use.
type Console struct {
	terminal bool
	level    slog.LevelVar // least that a Logger logs
	json     bool          // every line is an object; set before loggers are made

	mu  sync.Mutex // guards the fields below
	w   io.Writer
	bar bool      // a bar stands on the last line
	top io.Writer // writes above bars; nil without them
}

// NewConsole shows on f; a bar only when f is a terminal that can draw one.
func NewConsole(f *os.File) *Console {
	return &Console{w: f, terminal: IsTerminal(f) && os.Getenv("TERM") != "dumb"}
}

// Terminal reports whether the console is a terminal that can draw a bar.
func (c *Console) Terminal() bool { return c.terminal }

// IsTerminal reports whether a person may be looking at f.
func IsTerminal(f *os.File) bool {
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull)
	return err != nil || !os.SameFile(info, null)
}

// Write writes a whole line or more as plain text, before the bar if there is one. What cannot be
// shown is lost: there is nowhere left to say so.
func (c *Console) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.top != nil {
		if n, err := plain.Writer(c.top).Write(p); err == nil {
			return n, nil
		}
	}
	if c.bar {
		io.WriteString(c.w, "\r\x1b[K")
	}
	return plain.Writer(c.w).Write(p)
}

// Say writes a line.
func (c *Console) Say(format string, args ...any) {
	if c.json {
		c.Logger().Info(strings.TrimSpace(fmt.Sprintf(format, args...)))
		return
	}
	fmt.Fprintf(c, format+"\n", args...)
}

// Note tells of an event: to people as a line of text, whatever the level is, and where every line
// is JSON by the name of the event and its keys.
func (c *Console) Note(level slog.Level, said, event string, args ...any) {
	if c.json {
		c.Logger().Log(context.Background(), level, event, args...)
		return
	}
	c.Say("%s", said)
}

// SetJSON has every line be a JSON object from now on, for programs: those of Say too. It must be
// called before loggers are made, and before others use the console.
func (c *Console) SetJSON() { c.json = true }

// SetLevel says what is logged at least, by loggers that were made before too; at first it is
// slog.LevelInfo. It returns false when that is so already.
func (c *Console) SetLevel(l slog.Level) (changed bool) {
	changed = c.level.Level() != l
	c.level.Set(l)
	return changed
}

// Logger logs to the console.
func (c *Console) Logger() *slog.Logger {
	opt := &slog.HandlerOptions{Level: &c.level, ReplaceAttr: addressAsText}
	if c.json {
		return slog.New(slog.NewJSONHandler(c, opt))
	}
	return slog.New(slog.NewTextHandler(c, opt))
}

// addressAsText has an address be text in JSON, too, whatever its fields are.
func addressAsText(_ []string, a slog.Attr) slog.Attr {
	if addr, ok := a.Value.Any().(net.Addr); ok {
		a.Value = slog.StringValue(addr.String())
	}
	return a
}

func (c *Console) setTop(w io.Writer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.top = w
}

func (c *Console) setBar(on bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bar = on
}

// barWriter is the console for the bar itself.
type barWriter struct{ c *Console }

func (b barWriter) Write(p []byte) (int, error) {
	b.c.mu.Lock()
	defer b.c.mu.Unlock()
	return b.c.w.Write(p)
}

// PerSecond is a rate for people.
func PerSecond(n uint64, d time.Duration) string {
	if d <= 0 {
		return "0"
	}
	return plain.Comma(uint64(float64(n)/d.Seconds() + 0.5))
}
