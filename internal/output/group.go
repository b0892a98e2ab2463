package output

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/plain"
	"github.com/glassq/glassq/internal/report"
)

const (
	maxClass   = 64  // bytes of an error class; longer ones are otherKey
	maxClasses = 100 // error classes told apart; the rest are otherKey
	maxKey     = 200 // bytes of a group's key; longer ones are cut
	maxGroups  = 200 // groups of one grouping told apart; the rest are otherKey
	maxLabels  = 8   // groupings of one output

	otherKey = "other"
	noneKey  = "(none)"
)

// A By says what results are grouped by.
type By struct {
	kind  string // host, code, err, worker or label
	label string // of kind label
}

// ParseBy reads host, code, err, worker, or label:NAME. The error has code bad_request.
func ParseBy(s string) (By, error) {
	switch s {
	case "host", "code", "err", "worker":
		return By{kind: s}, nil
	}
	if name, ok := strings.CutPrefix(s, "label:"); ok && name != "" && len(name) <= maxKey && utf8.ValidString(name) {
		return By{"label", name}, nil
	}
	return By{}, glassq.Errorf(glassq.CodeBadRequest, "group %.60q is not one of host, code, err, worker, label:NAME", s)
}

func (b By) String() string {
	if b.kind == "label" {
		return "label:" + b.label
	}
	return b.kind
}

// key appends the group that r belongs to.
func (b By) key(buf []byte, r *record) []byte {
	var v []byte
	switch b.kind {
	case "host":
		v = r.host()
	case "worker":
		v = r.worker()
	case "label":
		v = r.label(b.label)
	case "code":
		if r.out.Code != 0 {
			return appendInt(buf, r.out.Code)
		}
	case "err":
		if r.out.OK {
			return append(buf, "ok"...)
		}
		return r.class(buf)
	}
	if len(v) == 0 {
		return append(buf, noneKey...)
	}
	return append(buf, v[:min(len(v), maxKey)]...)
}

func appendInt(buf []byte, n int) []byte { return strconv.AppendInt(buf, int64(n), 10) }

// A counter counts by a word, so many words at most; the rest are otherKey.
type counter struct {
	most  int
	words map[string]*uint64
}

func newCounter(most int) counter { return counter{most, make(map[string]*uint64)} }

func (c *counter) add(word []byte) {
	p := c.words[string(word)]
	if p == nil {
		p = slot(c.words, c.most, plain.Text(word), otherKey)
	}
	*p++
}

// slot is where key counts, made by its first use: with others when m has most keys already.
func slot[K comparable, V any](m map[K]*V, most int, key, others K) *V {
	v := m[key]
	if v == nil && len(m) >= most {
		key = others
		v = m[key]
	}
	if v == nil {
		v = new(V)
		m[key] = v
	}
	return v
}

// list returns the words, most frequent first.
func (c *counter) list() []report.ErrorCount {
	list := make([]report.ErrorCount, 0, len(c.words))
	for w, n := range c.words {
		list = append(list, report.ErrorCount{Class: w, Count: *n})
	}
	slices.SortFunc(list, func(a, b report.ErrorCount) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), strings.Compare(a.Class, b.Class))
	})
	return list
}

// A grouping is the results by one key.
type grouping struct {
	by     By
	groups map[string]*groupTally
	buf    []byte
}

// A groupTally is what one group has had.
type groupTally struct {
	ok, failed uint64
	rt         *report.Histogram
	classes    counter
}

func newGrouping(by By) *grouping {
	return &grouping{by: by, groups: make(map[string]*groupTally)}
}

func (g *grouping) record(r *record) {
	g.buf = g.by.key(g.buf[:0], r)
	t := g.groups[string(g.buf)]
	if t == nil {
		t = slot(g.groups, maxGroups, plain.Text(g.buf), otherKey)
	}
	if t.rt == nil {
		t.rt, t.classes = report.NewHistogram(2), newCounter(maxClasses/4)
	}
	if r.out.Took > 0 && r.timed() {
		t.rt.Record(r.out.Took)
	}
	if r.out.OK {
		t.ok++
		return
	}
	t.failed++
	g.buf = r.class(g.buf[:0])
	t.classes.add(g.buf)
}

func (g *grouping) snapshot() report.Grouping {
	s := report.Grouping{By: g.by.String(), Groups: []report.Group{}}
	for _, key := range slices.Sorted(maps.Keys(g.groups)) {
		t := g.groups[key]
		s.Groups = append(s.Groups, report.Group{
			Key: key, Count: t.ok + t.failed, Failed: t.failed, Service: t.rt.Latency(false), Errors: t.classes.list(),
		})
	}
	slices.SortStableFunc(s.Groups, func(a, b report.Group) int { return cmp.Compare(b.Count, a.Count) })
	return s
}

// newGroupings makes those of an output: by host always, and what else was asked for.
func newGroupings(by []By) ([]*grouping, error) {
	list := []*grouping{newGrouping(By{kind: "host"})}
	for _, b := range by {
		if !slices.ContainsFunc(list, func(g *grouping) bool { return g.by == b }) {
			list = append(list, newGrouping(b))
		}
	}
	if len(list) > maxLabels {
		return nil, fmt.Errorf("%w: %d groupings are more than %d", glassq.ErrBadRequest, len(list), maxLabels)
	}
	return list, nil
}
