package main

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/cli/term"
	"github.com/glassq/glassq/internal/plain"
	"github.com/glassq/glassq/internal/report"
)

// A look is what a server said at one moment.
type look struct {
	at     time.Time
	queues []glassq.QueueInfo
	stats  glassq.Stats
	runs   []glassq.Run // newest first; only for a screen and for JSON
}

// A row is a queue and how it moved since the look before.
type row struct {
	glassq.QueueInfo
	Rates *rates `json:"rates"` // nil when there was no look before
}

type rates struct {
	Put  float64 `json:"put"`  // per second
	Done float64 `json:"done"` // acked per second
}

// rows are the queues of a look by name, with rates since last, which may be nil.
func (l *look) rows(last *look) []row {
	var before map[string]glassq.Books
	var seconds float64
	if last != nil {
		seconds = l.at.Sub(last.at).Seconds()
		before = make(map[string]glassq.Books, len(last.queues))
		for i := range last.queues {
			before[last.queues[i].Name] = last.queues[i].Books
		}
	}
	list := make([]row, len(l.queues))
	for i := range list {
		r := &list[i]
		r.QueueInfo = l.queues[i]
		if seconds > 0 {
			was := before[r.Name] // nothing of a queue that has come since
			r.Rates = &rates{
				Put:  since(was.Put, r.Books.Put) / seconds,
				Done: since(was.OK+was.Failed, r.Books.OK+r.Books.Failed) / seconds,
			}
		}
	}
	slices.SortFunc(list, func(a, b row) int { return cmp.Compare(a.Name, b.Name) })
	return list
}

// since is how far a counter has come. One that has gone back belongs to a queue that was dropped
// and made again.
func since(was, is uint64) float64 {
	if is < was {
		return float64(is)
	}
	return float64(is - was)
}

// busy orders rows by how much happens in them.
func busy(a, b row) int {
	speed := func(r *row) float64 {
		if r.Rates == nil {
			return 0
		}
		return r.Rates.Put + r.Rates.Done
	}
	held := func(r *row) int64 { return r.Ready + r.Delayed + r.Leased }
	return cmp.Or(cmp.Compare(speed(&b), speed(&a)), cmp.Compare(held(&b), held(&a)), cmp.Compare(a.Name, b.Name))
}

// text is what a row says, column by column.
func (r *row) text() []string {
	put, done := "-", "-"
	if r.Rates != nil {
		put, done = plain.Comma(uint64(math.Round(r.Rates.Put))), plain.Comma(uint64(math.Round(r.Rates.Done)))
	}
	oldest := "-"
	if r.Oldest > 0 {
		oldest = report.Short(time.Duration(r.Oldest * float64(time.Second)))
	}
	name := r.Name
	if r.Settings.Paused {
		name += " (paused)"
	} else if r.Halted.Now() {
		name += " (halted)"
	} else if n := r.HaltedKeys.Count; n > 0 {
		name += " (" + plain.Plural(uint64(n), "key", "keys") + " halted)"
	} else if r.Rate > 0 {
		name += fmt.Sprintf(" (at most %.4g/s)", r.Rate)
	}
	if said := r.Progress.String(); said != "" {
		name += " (" + said + ")"
	}
	return []string{plain.Comma(r.Ready), plain.Comma(r.Delayed), plain.Comma(r.Leased),
		plain.Comma(r.Dead),
		put, done, oldest, fmt.Sprint(r.Waiters), name}
}

// line is a row for a log.
func (r *row) line() string {
	t := r.text()
	return fmt.Sprintf("%s: ready %s, delayed %s, leased %s, dead %s, put %s/s, done %s/s, waiters %s", t[8], t[0], t[1],
		t[2], t[3], t[4], t[5], t[7])
}

// columns are the head of a table, and leaving is in which order its figures leave a narrow terminal:
// how many tasks are ready stays.
var (
	columns = []string{"READY", "DELAYED", "LEASED", "DEAD", "PUT/s", "DONE/s", "OLDEST", "WAITERS", "QUEUE"}
	leaving = []int{7, 6, 1, 3, 4, 5, 2}
)

// shortest is how much of a name a narrow terminal shows at least, for one more figure; a wide one shows
// a third of its width.
const shortest = 12

// table is rows below a head, in width columns: it has fewer figures where names would be cut, and
// a name that is cut all the same keeps its end too.
func table(rows []row, width int) []string {
	name := 0
	for i := range rows {
		name = max(name, len(rows[i].Name))
	}
	name = min(name, max(shortest, width/3))
	for left := 0; ; left++ {
		figures := figures(rows, leaving[:left])
		room := width - len(figures[0]) - 2
		if room < name && left < len(leaving) {
			continue
		}
		for i := range figures {
			text := columns[len(columns)-1]
			if i > 0 {
				r := &rows[i-1]
				text = middleCut(r.Name, room) + strings.TrimPrefix(r.text()[8], r.Name)
			}
			figures[i] += "  " + text
		}
		return figures
	}
}

// figures is a table without the last column and without those of left.
func figures(rows []row, left []int) []string {
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', tabwriter.AlignRight)
	line := func(cells []string) {
		for i, cell := range cells[:len(cells)-1] {
			if !slices.Contains(left, i) {
				fmt.Fprintf(w, "%s\t", cell)
			}
		}
		fmt.Fprintln(w)
	}
	line(columns)
	for i := range rows {
		line(rows[i].text())
	}
	w.Flush() // a strings.Builder takes all
	lines := strings.Split(strings.TrimSuffix(text.String(), "\n"), "\n")
	for i, line := range lines {
		lines[i] = line[2:] // the gap before the first column
	}
	return lines
}

// middleCut is a name in room columns: names often differ at their ends alone.
func middleCut(name string, room int) string {
	room = max(room, 3)
	if len(name) <= room {
		return name
	}
	head := (room - 1) / 2
	return name[:head] + "…" + name[len(name)-(room-1-head):]
}

// A view is what of a look a person has asked for.
type view struct {
	runs bool // all runs, instead of queues
	help bool
	from int // first row that is shown
	page int // rows that the last frame had room for
}

var topHelp = []string{
	"up, down, j, k       one row",
	"page up, page down   one page; space too",
	"tab, r               runs, or queues",
	"?                    this, or back",
	"q, Ctrl-C            end",
}

// press changes the view by a key; false is the end.
func (v *view) press(key term.Key) bool {
	switch key {
	case 'q', 'Q', term.KeyCtrlC:
		return false
	case '?', 'h':
		v.help = !v.help
		return true
	case term.KeyTab, 'r':
		v.runs, v.from = !v.runs, 0
	case term.KeyUp, 'k':
		v.from--
	case term.KeyDown, 'j':
		v.from++
	case term.KeyPageUp:
		v.from -= max(v.page, 1)
	case term.KeyPageDown, ' ':
		v.from += max(v.page, 1)
	}
	v.help = false
	v.from = max(v.from, 0) // frame knows the other end
	return true
}

// window is which of n rows a frame with room lines shows, and the line that says so when they are
// not all.
func (v *view) window(n, room int, what string) (from, to int, foot string) {
	if v.page = room; n <= room {
		v.from = 0
		return 0, n, ""
	}
	v.page = max(room-1, 0)
	v.from = min(v.from, n-v.page)
	return v.from, v.from + v.page, fmt.Sprintf("%s %s to %s of %s", what, plain.Comma(uint64(v.from+1)),
		plain.Comma(uint64(v.from+v.page)), plain.Comma(uint64(n)))
}

// frame is what a screen of that size shows. Of more queues than it has lines for it keeps the
// busiest, until somebody moves through them.
func frame(rows []row, now *look, server, trouble string, width, height int, v *view) []string {
	s := &now.stats
	head := fmt.Sprintf("%s  %s  %s, %s, %s leased, %s waiting", now.at.Format(time.TimeOnly), server,
		plain.Plural(uint64(len(rows)), "queue", "queues"), plain.Plural(uint64(s.Tasks), "task", "tasks"),
		plain.Comma(uint64(s.Leases)), plain.Comma(uint64(s.Waiters)))
	if d := s.Disk; d != nil {
		head += "; sync " + d.Sync
		if d.LastSync > 0 {
			head += " " + report.Short(d.LastSync)
		}
	}
	if c := s.Cluster; c != nil {
		head += "; " + clusterText(c, now.at)
	}
	if s.Storage != "" && s.Storage != "ok" {
		head += "; storage " + s.Storage
	}
	lines := []string{head}
	if trouble != "" {
		lines = append(lines, trouble)
	}
	room := max(height-len(lines)-1, 0) // below the head of the table
	switch {
	case v.help:
		lines = append(lines, topHelp...)
	case v.runs:
		from, to, foot := v.window(len(now.runs), room, "runs")
		if lines = append(lines, runTable(now.runs[from:to], width)...); foot != "" {
			lines = append(lines, foot)
		}
	default:
		lines = append(lines, queueLines(rows, room, width, v)...)
		var open []glassq.Run
		for i := range now.runs {
			if n := &now.runs[i]; !n.Complete || n.Waiting > 0 {
				open = append(open, *n)
			}
		}
		if left := height - len(lines) - 2; len(open) > 0 && left > 0 {
			lines = append(append(lines, ""), runTable(open[:min(len(open), left)], width)...)
		}
	}
	lines = lines[:min(len(lines), max(height, 1))]
	for i, line := range lines {
		if text := []rune(line); len(text) > width {
			lines[i] = string(text[:width])
		}
	}
	return lines
}

// clusterText is who keeps a store of several machines, as of when.
func clusterText(c *glassq.ClusterStats, at time.Time) string {
	text := "at the owner"
	switch {
	case c.Role == glassq.RoleOwner:
	case c.Owner == "":
		text = "no gateway owns the store"
	default:
		text = "owner " + c.Owner
	}
	if text += fmt.Sprintf(" (epoch %d", c.Epoch); !c.AsOf.IsZero() {
		text += ", as of " + report.Short(max(0, at.Sub(c.AsOf))) + " ago"
	}
	text += fmt.Sprintf("), %d of %d replicas in step", c.InStep, c.Replicas)
	if c.Lag > 0 {
		text += fmt.Sprintf(", %s behind", plain.Comma(c.Lag))
	}
	return text
}

func queueLines(rows []row, room, width int, v *view) []string {
	if len(rows) <= room || v.from == 0 {
		v.page = max(room-1, 1)
		left := 0
		if len(rows) > room {
			left = len(rows) - max(room-1, 0)
			rows = slices.Clone(rows)
			slices.SortFunc(rows, busy)
			rows = rows[:len(rows)-left]
			slices.SortFunc(rows, func(a, b row) int { return cmp.Compare(a.Name, b.Name) })
		} else {
			v.from = 0
		}
		lines := table(rows, width)
		if left > 0 {
			lines = append(lines, fmt.Sprintf("and %s less busy queues", plain.Comma(uint64(left))))
		}
		return lines
	}
	from, to, foot := v.window(len(rows), room, "queues")
	return append(table(rows[from:to], width), foot)
}

// runTable is runs below a head, in width columns.
func runTable(runs []glassq.Run, width int) []string {
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "RUN\tSTATE\tBOOKS")
	for i := range runs {
		books := report.BooksLine(runs[i].Books)
		if said := runs[i].Progress.String(); said != "" {
			books += "; " + said
		}
		fmt.Fprintf(w, "%s\t%s\t%s\n", middleCut(runs[i].Name, width), stateOf(&runs[i]), books)
	}
	w.Flush() // a strings.Builder takes all
	return strings.Split(strings.TrimSuffix(text.String(), "\n"), "\n")
}
