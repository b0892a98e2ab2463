package output

import (
	"bytes"
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/glassq/glassq/internal/jsonline"
	"github.com/glassq/glassq/internal/plain"
	"github.com/glassq/glassq/internal/report"
)

const (
	maxCodes   = 100 // statuses told apart; the rest are otherKey
	maxSamples = 30  // failed results that are shown
	perClass   = 3   // of one class
)

// codes counts results by status. The zero value has none.
type codes map[int]*report.CodeCount

// otherCode stands for statuses beyond maxCodes.
const otherCode = -1

func (c *codes) add(r *record) {
	code := r.out.Code
	if code == 0 {
		return
	}
	if *c == nil {
		*c = codes{}
	}
	n := slot(*c, maxCodes, code, otherCode)
	n.Count++
	if !r.out.OK {
		n.Failed++
	}
}

// list returns them, most frequent first.
func (c codes) list() []report.CodeCount {
	list := make([]report.CodeCount, 0, len(c))
	for code, n := range c {
		if n.Code = strconv.Itoa(code); code == otherCode {
			n.Code = otherKey
		}
		list = append(list, *n)
	}
	slices.SortFunc(list, func(a, b report.CodeCount) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), strings.Compare(a.Code, b.Code))
	})
	return list
}

// sample keeps a failed result to be shown; a.buf is its class.
func (a *totals) sample(r *record) {
	if len(a.samples) == maxSamples {
		return
	}
	class, same := plain.Text(a.buf), 0
	for i := range a.samples {
		if a.samples[i].Err == class {
			same++
		}
	}
	if same == perClass {
		return
	}
	a.samples = append(a.samples, report.Failure{
		ID: plain.Text([]byte(r.lease.TaskID())), Input: shorten(r.shown()), Err: class, Code: r.out.Code,
		Message: shorten(r.message()), Excerpt: shorten(r.excerpt()),
	})
}

// excerpt is what was kept of the body of an answer, or else of what a command said.
func (r *record) excerpt() (text []byte) {
	best := len(kept)
	r.eachFurther(func(name string, v []byte) {
		if i := slices.Index(kept, name); i >= 0 && i < best && len(v) > 2 && v[0] == '"' {
			best, text = i, jsonline.Plain(v)
		}
	})
	return bytes.Join(bytes.Fields(text[:min(len(text), 4*maxInput)]), []byte(" "))
}

var kept = []string{"body", "stderr", "stdout"}
