package term

import (
	"os"

	"github.com/glassq/glassq/internal/output"
	"github.com/glassq/glassq/internal/report"
	"github.com/vbauerster/mpb/v8"
)

// A Meter shows how far a command has come; a quiet one shows nothing. The caller must Close it.
type Meter struct {
	console *Console
	p       *progress // one line, or
	board   *board    // all of a run
}

// MeterOptions say where a meter may be drawn.
type MeterOptions struct {
	Quiet bool     // shows nothing
	Data  *os.File // has data of the command; when it is a terminal, too, no bar is drawn. Nil for no data
}

func (o *MeterOptions) bar(c *Console) bool {
	return c.terminal && (o.Data == nil || !IsTerminal(o.Data))
}

// Meter starts a meter: one line that is written anew where a bar may be drawn, else a line every
// ten seconds.
func (c *Console) Meter(label string, opt MeterOptions) *Meter {
	if opt.Quiet {
		return &Meter{console: c}
	}
	bar := opt.bar(c)
	c.setBar(bar)
	return &Meter{console: c, p: newProgress(barWriter{c}, bar, label)}
}

// boardNames are the bars of a board.
var boardNames = []string{"put", "done", "out"}

// RunMeter is a meter that shows all of a run where bars may be drawn: what is put, done and out.
// It asks q for the books; run is "" until Begin names it.
func (c *Console) RunMeter(label string, opt MeterOptions, q Teller, run string) *Meter {
	if opt.Quiet || !opt.bar(c) {
		return c.Meter(label, opt)
	}
	b := newBars(c.w, boardNames, mpb.WithConsoleWriter(newScreen(c.w)))
	c.setTop(b)
	return &Meter{console: c, board: newBoard(b, q, run)}
}

// OnBoard tells whether the meter shows all of a run.
func (m *Meter) OnBoard() bool { return m.board != nil }

// Begin names the run of a board.
func (m *Meter) Begin(run string) {
	if m.board != nil {
		m.board.begin(run)
	}
}

// Set says how much is done, which on a board is put; total 0 is not known.
func (m *Meter) Set(done, total uint64) {
	if m.board != nil {
		m.board.puts(done, total)
	}
	if m.p != nil {
		m.p.set(done, total)
	}
}

// Summary shows where an output stands.
func (m *Meter) Summary(s output.Summary) {
	switch {
	case m.board != nil:
		m.board.results(s)
	case m.p != nil:
		m.p.before.Store(s.Before)
		m.p.set(s.Before+s.Written, s.Total)
		if s.RT.Count > 0 {
			m.p.setNote("p50 " + report.Short(s.RT.P50) + "  p99 " + report.Short(s.RT.P99))
		}
	}
}

// Close shows the last figures. A second Close is a no-op.
func (m *Meter) Close() {
	if m.p != nil {
		m.p.close()
		m.console.setBar(false)
	}
	if m.board != nil {
		m.board.close()
		m.console.setTop(nil)
		m.board = nil
	}
}
