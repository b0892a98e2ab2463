package output

import (
	"context"
	"fmt"
	"strconv"

	"github.com/glassq/glassq"
)

// FormatBooks is the line that ends every run:
//
//	put 1,000,000 = ok 999,874 + failed 126 + dead 0 + pending 0    missing 0   duplicate 0
func FormatBooks(b glassq.Books, missing, duplicate uint64) string {
	return "put " + comma(b.Put) +
		" = ok " + comma(b.OK) +
		" + failed " + comma(b.Failed) +
		" + dead " + comma(b.Dead.Sum()) +
		" + pending " + comma(b.Pending()) +
		"    missing " + comma(missing) +
		"   duplicate " + comma(duplicate)
}

// comma writes n with a comma before every three digits.
func comma(n uint64) string {
	s := strconv.FormatUint(n, 10)
	out := make([]byte, 0, len(s)+len(s)/3)
	for i := range len(s) {
		if i > 0 && (len(s)-i)%3 == 0 {
			out = append(out, ',')
		}
		out = append(out, s[i])
	}
	return string(out)
}

const (
	intervalPage = 1000
	maxMissing   = 1000 // intervals in a report
)

// findMissing compares the positions that are done with those that were seen. All of those that are
// missing go to the list, the first intervals into the report.
func (o *output) findMissing(ctx context.Context) (count uint64, ids []glassq.Interval, err error) {
	run, bits := o.opt.Run, o.seen.of(o.opt.Run)
	for from := uint32(0); ; {
		var page []glassq.Interval
		err := o.again(ctx, func() (err error) {
			page, err = o.q.RunIDs(ctx, run, glassq.IDsDone, from, intervalPage)
			return err
		})
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
