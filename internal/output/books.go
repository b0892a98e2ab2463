package output

import (
	"context"
	"fmt"

	"github.com/glassq/glassq"
)

const (
	intervalPage = 1000
	maxMissing   = 1000 // intervals in a report
)

// findMissing compares the positions that are done with those that were seen. All of those that are
// missing go to the list, the first intervals into the report.
func (o *output) findMissing(ctx context.Context) (count uint64, ids []glassq.Interval, err error) {
	run, bits := o.opt.Run, o.seen.of(o.opt.Run)
	for from := uint32(0); ; {
		page, err := o.q.RunIDs(ctx, run, glassq.IDsDone, from, intervalPage)
		if err != nil {
			return count, ids, fmt.Errorf("ask what is done: %w", err)
		}
		for _, iv := range page {
			iv.First = max(iv.First, from)
			count += missing(bits, iv, func(gone glassq.Interval) {
				if len(ids) < maxMissing {
					ids = append(ids, gone)
				}
				o.missing.interval(run, gone)
			})
		}
		if len(page) < intervalPage || page[len(page)-1].Last == 1<<32-1 {
			return count, ids, nil
		}
		from = page[len(page)-1].Last + 1
	}
}
