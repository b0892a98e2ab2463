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

// findMissing compares the positions that are done with those that were seen.
func findMissing(ctx context.Context, q Queue, run string, seen *Seen) (count uint64, ids []glassq.Interval, err error) {
	bits := seen.of(run)
	for from := uint32(0); ; {
		page, err := q.RunIDs(ctx, run, glassq.IDsDone, from, intervalPage)
		if err != nil {
			return count, ids, fmt.Errorf("ask what is done: %w", err)
		}
		for _, iv := range page {
			iv.First = max(iv.First, from)
			var n uint64
			n, ids = missing(bits, iv, ids, maxMissing)
			count += n
		}
		if len(page) < intervalPage || page[len(page)-1].Last == 1<<32-1 {
			return count, ids, nil
		}
		from = page[len(page)-1].Last + 1
	}
}
