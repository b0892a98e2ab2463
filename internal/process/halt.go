package process

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/glassq/glassq/worker"
)

// A Halt says when a worker has seen enough, in the words of GNU parallel's --halt: never, or when
// (soon: what runs may end; now: it is ended), a comma, what (fail, success, done), "=", and a
// count or a percentage of the tasks that were done. A percentage counts from the third task on.
//
// Safe for concurrent use.
type Halt struct {
	now     bool
	what    string  // fail, success or done; "" never
	count   int     // with count 0 share counts
	share   float64 // of 1
	reached chan struct{}

	mu             sync.Mutex // guards the fields below
	done, ok, fail int
	over           bool
}

// leastForShare is how many tasks a percentage needs to mean something.
const leastForShare = 3

// ParseHalt reads the rule; "" is never.
func ParseHalt(s string) (*Halt, error) {
	h := &Halt{reached: make(chan struct{})}
	if s == "" || s == "never" {
		return h, nil
	}
	when, rule, ok := strings.Cut(s, ",")
	what, limit, ok2 := strings.Cut(rule, "=")
	bad := fmt.Errorf("--halt %q is neither never nor like soon,fail=1 or now,fail=10%%: soon or now, a comma, fail, success or done, =, a count or a percentage", s)
	if !ok || !ok2 || when != "soon" && when != "now" || what != "fail" && what != "success" && what != "done" {
		return nil, bad
	}
	h.now, h.what = when == "now", what
	if pct, ok := strings.CutSuffix(limit, "%"); ok {
		v, err := strconv.ParseFloat(pct, 64)
		if err != nil || !(v > 0 && v <= 100) {
			return nil, bad
		}
		h.share = v / 100
		return h, nil
	}
	n, err := strconv.Atoi(limit)
	if err != nil || n < 1 {
		return nil, bad
	}
	h.count = n
	return h, nil
}

// Reached is closed when the rule holds.
func (h *Halt) Reached() <-chan struct{} { return h.reached }

// Now reports whether what runs is to be ended too.
func (h *Halt) Now() bool { return h.now }

// Failure reports whether the rule is about failures.
func (h *Halt) Failure() bool { return h.what == "fail" }

// String says what was reached.
func (h *Halt) String() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return fmt.Sprintf("%d done, %d ok, %d failed", h.done, h.ok, h.fail)
}

// halted is what a task gets that comes when the rule holds: it goes back unbegun. A nil rule never
// holds.
func (h *Halt) halted() error {
	if h == nil {
		return nil
	}
	select {
	case <-h.reached:
		return &worker.NackError{Undone: true, Err: errors.New("the rule of --halt holds")}
	default:
		return nil
	}
}

func (h *Halt) note(ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.done++
	if ok {
		h.ok++
	} else {
		h.fail++
	}
	n := h.done
	switch h.what {
	case "fail":
		n = h.fail
	case "success":
		n = h.ok
	case "":
		return
	}
	enough := h.count > 0 && n >= h.count ||
		h.share > 0 && h.done >= leastForShare && float64(n) >= h.share*float64(h.done)
	if enough && !h.over {
		h.over = true
		close(h.reached)
	}
}
