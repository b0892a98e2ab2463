package dashboard

import (
	"slices"
	"strings"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/live"
	"github.com/glassq/glassq/internal/report"
	"github.com/glassq/glassq/internal/rights"
	"github.com/glassq/glassq/result"
)

const (
	maxLacking = 20     // intervals of positions that are shown
	maxIDs     = 10_000 // intervals that are looked at
	maxResults = 1000   // results that are looked at for examples of failures
)

type runsPage struct {
	Rows  []runRow
	Pages pages
}

// A runRow is a run in a list.
type runRow struct{ glassq.Run }

// BooksLine is the books of the run.
func (r runRow) BooksLine() string { return report.BooksLine(r.Books) }

// Done is how many of its tasks have an outcome.
func (r runRow) Done() uint64 { return r.Books.Put - r.Pending }

// Whole is how many tasks the run will have, as far as that is known.
func (r runRow) Whole() uint64 { return max(r.Total, r.Books.Put) }

// State is a word for how far the run is.
func (r runRow) State() string {
	switch {
	case r.Complete && r.Waiting > 0:
		return "complete, results wait"
	case r.Complete:
		return "complete"
	case r.Sealed:
		return "sealed"
	}
	return "not sealed"
}

func (v *visit) runs() error {
	all, err := v.store().Runs(v.ctx())
	if err != nil {
		return err
	}
	name, only := v.Query("name"), v.Query("has")
	all = slices.DeleteFunc(all, func(r glassq.Run) bool {
		return !strings.Contains(r.Name, name) || only == "open" && r.Complete || only == "complete" && !r.Complete ||
			only == "failed" && r.Books.Failed+r.Books.Dead.Sum() == 0
	})
	some, at := pageOf(v, all)
	p := runsPage{Pages: at}
	for _, r := range some {
		p.Rows = append(p.Rows, runRow{r})
	}
	return v.render(200, "runs", v.T("Runs"), p)
}

type runPage struct {
	runRow
	May      bool
	Why      glassq.Explanation
	Left     time.Duration // until the run is complete at the speed of now; 0 is not known
	Speed    float64       // outcomes a second
	Lacking  []glassq.Interval
	More     bool // there is more of Lacking
	Took     live.Took
	Failures []failures
	Told     uint64  // how many failures are in Failures
	Course   []chart // over the life of the run
	Charts   []chart
}

type failures struct {
	live.Failures
	Number uint64 // of an example, in the results queue; 0 for none
	ID     string // its task
}

func (v *visit) run() error {
	name := v.r.PathValue("run")
	run, err := v.store().Run(v.ctx(), name)
	if err != nil {
		return err
	}
	p := runPage{runRow: runRow{run}, May: v.may(rights.VerbCancelRun, name)}
	if c, ok := v.opt.Live.RunCourse(name); ok {
		p.Took, p.Course = c.Whole, []chart{courseChart(&c)}
		for _, f := range c.Failures {
			p.Failures, p.Told = append(p.Failures, failures{Failures: f}), p.Told+f.Tasks
		}
	}
	if run.Queue != "" {
		if s, ok := v.opt.Live.QueueSeries(run.Queue, spans[v.Query("span")]); ok {
			p.Charts = charts(s)
		}
	}
	if p.Why, err = v.opt.Explain.Run(v.ctx(), name); err != nil {
		return err
	}
	p.pace(v.opt.Live)
	if p.Lacking, p.More, err = v.lacking(&run); err != nil {
		return err
	}
	if err := v.examples(&p); err != nil {
		return err
	}
	return v.render(200, "run", name, p)
}

// pace tells how fast the run goes and when it will be complete: by the last ten seconds of its
// queue, else by the whole run.
func (p *runPage) pace(seen *live.Live) {
	if p.Complete {
		return
	}
	if s, ok := seen.QueueSeries(p.Queue, time.Minute); ok && p.Queue != "" {
		now := speedOf(s, 10*time.Second)
		p.Speed = now.OK + now.Failed
	}
	if p.Speed == 0 {
		p.Speed = float64(p.Done()) / max(1, time.Since(p.Created).Seconds())
	}
	if left := p.Whole() - p.Done(); p.Speed > 0 && left > 0 {
		p.Left = time.Duration(float64(left) / p.Speed * float64(time.Second)).Round(time.Second)
	}
}

// lacking lists the positions of a sealed run that were never put, or are put and have no outcome.
func (v *visit) lacking(run *glassq.Run) (list []glassq.Interval, more bool, err error) {
	if !run.Sealed || run.Total == 0 || run.Total > 1<<32 {
		return nil, false, nil
	}
	var have []glassq.Interval
	for _, set := range []glassq.IDSet{glassq.IDsDone, glassq.IDsDead} {
		some, err := v.store().RunIDs(v.ctx(), run.Name, set, 0, maxIDs)
		if err != nil {
			return nil, false, err
		}
		if len(some) == maxIDs {
			more = true
		}
		have = append(have, some...)
	}
	slices.SortFunc(have, func(a, b glassq.Interval) int { return int(int64(a.First) - int64(b.First)) })
	next := uint64(0) // the first position that is not accounted for
	lack := func(end uint64) {
		if next < end {
			list = append(list, glassq.Interval{First: uint32(next), Last: uint32(end - 1)})
		}
	}
	for _, h := range have {
		lack(uint64(h.First))
		next = max(next, uint64(h.Last)+1)
	}
	if !more {
		lack(run.Total)
	}
	if len(list) > maxLacking {
		list, more = list[:maxLacking], true
	}
	return list, more, nil
}

// courseChart is how long the tasks of a run took, over its life.
func courseChart(c *live.Course) chart {
	took := chart{ID: "course", Title: "Over the life of the run", Unit: "ms", Lines: []string{"half below", "99 of 100 below"}}
	for i, x := range c.Steps {
		took.Rows = append(took.Rows, point{c.Start.Add(time.Duration(i) * c.Step),
			[]float64{x.P50.Seconds() * 1000, x.P99.Seconds() * 1000}})
	}
	return took
}

// examples finds failures of the classes that are shown among the first results that wait: those that
// were taken are with whoever took them.
func (v *visit) examples(p *runPage) error {
	if p.Waiting == 0 || len(p.Failures) == 0 {
		return nil
	}
	tasks, _, err := v.store().Peek(v.ctx(), p.Results, glassq.Ready, 0, maxResults)
	if glassq.CodeOf(err) == glassq.CodeNotFound || glassq.CodeOf(err) == glassq.CodeForbidden {
		return nil
	}
	if err != nil {
		return err
	}
	for i := range tasks {
		t := &tasks[i]
		if t.Run != p.Name || result.OutcomeOf(t.Body, t.Type) == glassq.OK {
			continue
		}
		k := slices.IndexFunc(p.Failures, func(f failures) bool { return f.Class == live.ClassOf(t.Body) })
		if k >= 0 && p.Failures[k].Number == 0 {
			p.Failures[k].Number, p.Failures[k].ID = t.Number, t.TaskID()
		}
	}
	return nil
}
