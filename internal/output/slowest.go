package output

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/glassq/glassq/internal/plain"
	"github.com/glassq/glassq/internal/report"
)

const (
	maxSlow  = 20  // slowest results that are kept
	maxInput = 300 // bytes of the input of one
)

// slowest keeps the results that took longest, the quickest of them first.
type slowest []slowResult

type slowResult struct {
	rt   time.Duration
	show report.Slow
}

// offer keeps r if it is one of the slowest so far.
func (s *slowest) offer(r *record) {
	if r.out.Took <= 0 || len(*s) == maxSlow && r.out.Took <= (*s)[0].rt {
		return
	}
	show := report.Slow{
		ID: plain.Text([]byte(r.lease.TaskID())), Input: shorten(r.shown()),
		Seconds: r.out.Took.Seconds(), Lag: r.out.Lag.Seconds(),
		Code: r.out.Code, Worker: shorten(r.worker()),
	}
	if !r.out.OK {
		show.Err = plain.Text(r.class(nil))
	}
	if !r.out.Began.IsZero() {
		show.Start = float64(r.out.Began.UnixMilli()) / 1000
	}
	at, _ := slices.BinarySearchFunc(*s, r.out.Took,
		func(x slowResult, rt time.Duration) int { return cmp.Compare(x.rt, rt) })
	*s = slices.Insert(*s, at, slowResult{r.out.Took, show})
	if len(*s) > maxSlow {
		*s = slices.Delete(*s, 0, 1)
	}
}

func shorten(b []byte) string { return plain.Short(b, maxInput) }

// list returns them, slowest first.
func (s slowest) list() []report.Slow {
	sorted := slices.Clone(s)
	slices.SortFunc(sorted, func(a, b slowResult) int {
		return cmp.Or(cmp.Compare(b.rt, a.rt), strings.Compare(a.show.ID, b.show.ID))
	})
	list := make([]report.Slow, len(sorted))
	for i := range sorted {
		list[i] = sorted[i].show
	}
	return list
}
