package report

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/plain"
	"github.com/glassq/glassq/result"
)

// A Rule is a condition under which a run counts as failed, such as p99>250ms. What it compares:
//
//	p50 p95 p99.9 …      service time at a percentile, with a duration: 250ms, 1.5s
//	min mean max         service time, of answers and time-outs; broken when there was no answer at all
//	due.p99 due.max …    the same from the due moment to done; broken when some of the schedule was given up
//	ok failed late       results, with a share (99.9%) or a count
//	err:CLASS            failed results of an error class, with a share or a count
//	dead missing duplicate results    a count
//	rate                 results per second that were reached
//
// and the comparison is one of < <= > >=.
type Rule struct {
	Text   string // as it was written
	metric string
	op     string
	value  float64
	share  bool // value is a share of the results, 0 to 1
}

var ruleShape = regexp.MustCompile(`^\s*([a-z][a-z0-9_.:-]*(?: [0-9]+)?)\s*(<=|>=|<|>)\s*([0-9.]+)\s*([a-zµ%]*)\s*$`)

// ParseRule reads a rule. The error has code bad_request, and says what a rule looks like.
func ParseRule(text string) (Rule, error) {
	bad := func(format string, args ...any) (Rule, error) {
		return Rule{}, glassq.Errorf(glassq.CodeBadRequest,
			"rule %.80q: %s; a rule is like p99>250ms, ok<99.9%% or rate<20000",
			text, fmt.Sprintf(format, args...))
	}
	m := ruleShape.FindStringSubmatch(text)
	if m == nil {
		return bad("not a word, one of < <= > >=, and a value")
	}
	r := Rule{Text: strings.Join(strings.Fields(text), ""), metric: m[1], op: m[2]}
	if strings.Contains(m[1], " ") {
		r.Text = strings.TrimSpace(text) // err:status 404
	}
	number, err := strconv.ParseFloat(m[3], 64)
	if err != nil {
		return bad("%q is not a number", m[3])
	}
	unit := m[4]
	switch kindOf(r.metric) {
	case kindTime:
		d, err := time.ParseDuration(m[3] + unit)
		if err != nil || unit == "" {
			return bad("%s is compared with a duration such as 250ms", r.metric)
		}
		r.value = d.Seconds()
	case kindShare:
		switch unit {
		case "%":
			if number > 100 {
				return bad("%s%% is over 100%%", m[3])
			}
			r.value, r.share = number/100, true
		case "":
			r.value = number
		default:
			return bad("%s is compared with a share such as 0.1%% or a count", r.metric)
		}
	case kindCount:
		if unit != "" {
			return bad("%s is compared with a plain number", r.metric)
		}
		r.value = number
	default:
		return bad("%q is nothing that is measured (p50 to p99.99, min, mean, max, due.p99, ok, failed, late, err:CLASS, dead, missing, duplicate, results, rate)", r.metric)
	}
	return r, nil
}

type ruleKind int

const (
	kindNone ruleKind = iota
	kindTime
	kindShare
	kindCount
)

func kindOf(metric string) ruleKind {
	switch metric {
	case "ok", "failed", "late":
		return kindShare
	case "dead", "missing", "duplicate", "results", "rate":
		return kindCount
	}
	if class, ok := strings.CutPrefix(metric, "err:"); ok && class != "" {
		return kindShare
	}
	name := strings.TrimPrefix(metric, "due.")
	if _, ok := percentile(name); ok || name == "min" || name == "mean" || name == "max" {
		return kindTime
	}
	return kindNone
}

// percentile reads p99.9.
func percentile(name string) (float64, bool) {
	text, ok := strings.CutPrefix(name, "p")
	if !ok || text == "" || text[0] == '.' {
		return 0, false
	}
	p, err := strconv.ParseFloat(text, 64)
	return p, err == nil && p > 0 && p <= 100
}

// A Verdict is what became of a rule.
type Verdict struct {
	Rule   string  `json:"rule"`
	Broken bool    `json:"broken"`
	Value  float64 `json:"value"` // what was measured: seconds, a share, a count or a rate
	Says   string  `json:"says"`  // for people
}

// Judge judges a document by rules, and keeps the verdicts in it. A rule on something that was not
// measured is broken: a run without results proves nothing. It returns how many are broken.
func (d *Document) Judge(rules []Rule) (broken int, err error) {
	d.Rules = nil
	for i := range rules {
		v, err := rules[i].judge(d)
		if err != nil {
			return broken, fmt.Errorf("rule %s: %w", rules[i].Text, err)
		}
		if v.Broken {
			broken++
		}
		d.Rules = append(d.Rules, v)
	}
	return broken, nil
}

func (r *Rule) judge(d *Document) (Verdict, error) {
	v := Verdict{Rule: r.Text}
	value, known, err := r.measure(d)
	if err != nil {
		return v, err
	}
	if !known {
		v.Broken, v.Says = true, "nothing of it was measured"
		return v, nil
	}
	v.Value = value
	switch r.op {
	case "<":
		v.Broken = value < r.value
	case "<=":
		v.Broken = value <= r.value
	case ">":
		v.Broken = value > r.value
	case ">=":
		v.Broken = value >= r.value
	}
	v.Says = r.metric + " is " + r.show(value)
	if up := d.Rate.GivenUp; up > 0 && strings.HasPrefix(r.metric, "due.") {
		v.Broken = true
		v.Says += ", and " + givenUp(up)
	}
	return v, nil
}

func (r *Rule) show(value float64) string {
	switch {
	case kindOf(r.metric) == kindTime:
		return showSeconds(value)
	case r.share:
		return strconv.FormatFloat(value*100, 'f', -1, 64) + "%"
	case r.metric == "rate":
		return strconv.FormatFloat(value, 'f', 1, 64) + "/s"
	}
	return plain.Comma(uint64(value))
}

// Unanswered reports whether a result of this error class came of work that had no answer.
func Unanswered(class string) bool {
	switch class {
	case result.ClassDNS, result.ClassRefused, result.ClassReset, result.ClassUnreachable, result.ClassConnectTimeout,
		result.ClassTimeout, result.ClassTLS, result.ClassEOF, result.ClassProtocol, result.ClassTooLarge,
		result.ClassBlocked, result.ClassBadTask, result.ClassCancelled, result.ClassInternal:
		return true
	}
	return false
}

// answered reports whether any of the results had an answer, so that there are times to speak of.
func (d *Document) answered() bool {
	return d.OK > 0 || slices.ContainsFunc(d.Errors, func(e ErrorCount) bool { return !Unanswered(e.Class) })
}

// measure is what the rule compares; known is false when there is nothing to compare.
func (r *Rule) measure(d *Document) (value float64, known bool, err error) {
	count := func(n uint64) (float64, bool, error) {
		if r.share {
			return float64(n) / float64(d.Results), d.Results > 0, nil
		}
		return float64(n), true, nil
	}
	switch r.metric {
	case "ok":
		return count(d.OK)
	case "failed":
		return count(d.Failed)
	case "late":
		return count(d.Rate.Late)
	case "dead":
		return count(d.Dead)
	case "missing":
		return count(d.Missing)
	case "duplicate":
		return count(d.Duplicates)
	case "results":
		return count(d.Results)
	case "rate":
		return d.Rate.Reached, d.Results > 0, nil
	}
	if class, ok := strings.CutPrefix(r.metric, "err:"); ok {
		n := uint64(0)
		for _, e := range d.Errors {
			if e.Class == class || strings.HasPrefix(e.Class, class+" ") {
				n += e.Count
			}
		}
		return count(n)
	}
	l, name := &d.Service, r.metric
	if rest, ok := strings.CutPrefix(name, "due."); ok {
		l, name = &d.Due, rest
	}
	if l.Count == 0 || !d.answered() {
		return 0, false, nil
	}
	switch name {
	case "min":
		return l.Min, true, nil
	case "mean":
		return l.Mean, true, nil
	case "max":
		return l.Max, true, nil
	}
	h, err := l.histogram()
	if err != nil || h == nil {
		return 0, false, err
	}
	p, _ := percentile(name)
	return Seconds(h.ValueAtPercentile(p)), true, nil
}
