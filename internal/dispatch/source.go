package dispatch

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/glassq/glassq"
)

// MaxTasks is the most tasks one run can have: positions are 32 bits wide.
const MaxTasks = glassq.MaxPositions

// batchBytes is where a source ends a batch early. A batch holds more only when one body alone
// does.
const batchBytes = 4 << 20

// A Source is a stream of tasks in constant memory. The task returned k-th, from 0, has position k.
// A Source is for one goroutine.
type Source interface {
	// Next fills dst from its start and returns how many tasks it filled, which may be fewer than
	// len(dst) before the end: bodies of one call stay near 4 MiB. At the end it returns io.EOF,
	// with the last tasks or without. Bodies belong to the caller; Run, Position and Queue are not
	// set.
	Next(dst []glassq.Task) (n int, err error)

	// Fingerprint tells this source from others: equal texts mean equal tasks. It is "" for a
	// stream that can be read only once, such as standard input. Then nothing can be compared: who
	// continues a run from a stream feeds it the same lines from the first one on, and those at
	// positions that were put already are skipped unread.
	Fingerprint() string

	// Total is how many tasks there are in all, if that is known before the end; lines that turn
	// out to be bad are counted.
	Total() (n uint64, known bool)
}

// A lined Source makes its tasks of lines.
type lined interface {
	// lineOf is the line, from 1, that the i-th task of the last Next was made of.
	lineOf(i int) uint64
	// name is of what the lines are in; "" for none. It never changes.
	name() string
	// empty is how many lines were passed over that have nothing in them. It may be asked at any
	// time.
	empty() uint64
}

// ParseRange reads "A..B", both included.
func ParseRange(s string) (first, last uint64, err error) {
	a, b, ok := strings.Cut(s, "..")
	if ok {
		first, err = strconv.ParseUint(strings.TrimSpace(a), 10, 64)
	}
	if ok && err == nil {
		last, err = strconv.ParseUint(strings.TrimSpace(b), 10, 64)
	}
	switch {
	case !ok || err != nil:
		return 0, 0, glassq.Errorf(glassq.CodeBadRequest, "range %.60q is not two numbers like 0..999999", s)
	case last < first:
		return 0, 0, glassq.Errorf(glassq.CodeBadRequest, "range %.60q goes down; write the lower number first", s)
	case last-first >= MaxTasks:
		return 0, 0, glassq.Errorf(glassq.CodeBadRequest, "range %.60q has more than %d numbers", s, uint64(MaxTasks))
	}
	return first, last, nil
}

// counter makes tasks of consecutive numbers.
type counter struct {
	make  maker
	first uint64
	count uint64
	next  uint64 // position
}

// NewCounter makes count tasks: t, and req when it is not nil, with the numbers from first on.
func NewCounter(t *Template, req *Request, first, count uint64) (Source, error) {
	m := maker{tmpl: t, req: req}
	for _, t := range m.templates() {
		if t != nil && t.UsesLine() {
			return nil, &TemplateError{Template: t.text, Pos: max(1, strings.Index(t.text, "{")+1),
				Reason: "{line} and {col:name} need a file or standard input to take lines from; for numbers write {0}"}
		}
	}
	if count > MaxTasks || count > 0 && first+count-1 < first {
		return nil, glassq.Errorf(glassq.CodeBadRequest, "%d tasks from number %d on: a run has at most %d", count, first,
			uint64(MaxTasks))
	}
	return &counter{make: m, first: first, count: count}, nil
}

func (c *counter) Next(dst []glassq.Task) (int, error) {
	n := int(min(uint64(len(dst)), c.count-c.next))
	if n == 0 {
		if c.next == c.count {
			return 0, io.EOF
		}
		return 0, nil
	}
	// All bodies of the batch lie in one allocation; the last number is the longest.
	longest, err := c.make.append(nil, &record{number: c.first + c.next + uint64(n) - 1})
	if err != nil {
		return 0, err
	}
	n = min(n, max(1, batchBytes/max(1, len(longest))))
	arena := make([]byte, 0, n*len(longest))
	var r record
	for i := range n {
		start := len(arena)
		r.number = c.first + c.next
		if arena, err = c.make.append(arena, &r); err != nil {
			return i, err
		}
		dst[i] = glassq.Task{Body: arena[start:len(arena):len(arena)], Type: glassq.TypeText}
		if c.make.req != nil {
			dst[i].Type = glassq.TypeJSON
		}
		if err := c.make.key(&dst[i], &r); err != nil {
			return i, err
		}
		c.next++
	}
	if c.next == c.count {
		return n, io.EOF
	}
	return n, nil
}

// skip passes over n tasks.
func (c *counter) skip(n uint64) { c.next = min(c.next+n, c.count) }

func (c *counter) Fingerprint() string {
	s := c.make.describe()[1:]
	if c.count == 0 {
		return s + " none"
	}
	return fmt.Sprintf("%s %d..%d", s, c.first, c.first+c.count-1)
}

func (c *counter) Total() (uint64, bool) { return c.count, true }

// shorten quotes a template, or names a long one by its start and its hash: a run's source has at
// most glassq.MaxReason bytes.
func shorten(s string) string {
	q := strconv.Quote(s)
	if len(q) <= 600 {
		return q
	}
	return strconv.QuoteToASCII(s[:50]) + " " + digest(s)
}

func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return "sha256:" + hex.EncodeToString(sum[:])
}
