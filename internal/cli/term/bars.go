package term

import (
	"io"
	"sync/atomic"

	"github.com/vbauerster/cupwriter"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// barColumns is the width of a bar; on narrower terminals it is less, or none.
const barColumns = 30

// A screen is a terminal of 80 columns and 24 rows when it does not know its size, as behind a
// serial line or in a container; there the bars would be cut to nothing.
type screen struct{ *cupwriter.Writer }

func newScreen(w io.Writer) screen { return screen{cupwriter.New(w, false)} }

// Flush is that of mpb.ConsoleWriter. It begins in the first column, wherever what is typed has
// left the cursor: without, the ^C of a Ctrl-C leaves the first letters of a bar standing.
func (s screen) Flush(lines int) error {
	if err := s.Writer.Flush(lines); err != nil {
		return err
	}
	if s.IsTerminal() {
		s.WriteString("\r\x1b[J") // a bytes.Buffer takes all
	}
	return nil
}

// GetTermSize is that of mpb.ConsoleWriter.
func (s screen) GetTermSize() (width, height int, err error) {
	if width, height, err = s.Writer.GetTermSize(); err != nil || width <= 0 || height <= 0 {
		return 80, 24, nil
	}
	return width, height, nil
}

// bars draws gauges one below the other, and a line below them, without colours.
type bars struct {
	p     *mpb.Progress
	list  []*mpb.Bar
	gauge []atomic.Pointer[gauge] // whose figures stand behind each bar
	foot  *mpb.Bar
	line  atomic.Pointer[string]
}

// newBars makes a bar for each name on w, a terminal or what the options make one of.
func newBars(w io.Writer, names []string, opts ...mpb.ContainerOption) *bars {
	b := &bars{gauge: make([]atomic.Pointer[gauge], len(names))}
	b.p = mpb.New(append([]mpb.ContainerOption{mpb.WithOutput(w)}, opts...)...)
	style := mpb.BarStyle().Lbound("[").Filler("#").Tip("#").Padding(".").Rbound("]")
	for i, name := range names {
		b.list = append(b.list, b.p.New(0, style, mpb.BarWidth(barColumns),
			mpb.PrependDecorators(decor.Name(name, decor.WC{W: 5, C: decor.DindentRight})),
			mpb.AppendDecorators(decor.Any(func(s decor.Statistics) string {
				if g := b.gauge[i].Load(); g != nil {
					return " " + g.figures(s.AvailableWidth-1)
				}
				return ""
			}))))
	}
	b.foot = b.p.New(0, mpb.NopStyle(), mpb.PrependDecorators(decor.Any(func(decor.Statistics) string {
		if s := b.line.Load(); s != nil {
			return "     " + *s
		}
		return ""
	})))
	return b
}

// show sets what the next frame shows. There is a gauge for each bar.
func (b *bars) show(list []gauge, line string) {
	for i := range b.list {
		b.gauge[i].Store(&list[i])
		b.list[i].SetTotal(int64(list[i].total), false)
		b.list[i].SetCurrent(int64(list[i].done))
	}
	b.line.Store(&line)
}

// Write writes lines above the bars.
func (b *bars) Write(p []byte) (int, error) { return b.p.Write(p) }

// close draws the last frame and leaves it.
func (b *bars) close() {
	for _, bar := range b.list {
		bar.Abort(false)
	}
	b.foot.Abort(false)
	b.p.Wait()
}
