package dispatch

import (
	"errors"
	"io"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/envelope"
)

// Tasks reads lines of JSON that are tasks as they stood in a queue, as glassq queue export writes
// them: envelopes whose id, run and n are kept. It is for one goroutine, and bounds its memory by
// what Next is asked for and by 32 MiB.
type Tasks struct {
	in    *lineReader
	check *checker
	held  []byte // a line that did not fit into the batch before
}

// NewTasks reads from r.
func NewTasks(r io.Reader) *Tasks { return &Tasks{in: newLineReader(r, NDJSON), check: newChecker()} }

// Empty is how many lines were passed over that have nothing in them.
func (t *Tasks) Empty() uint64 { return t.in.empty() }

// Next fills dst with the next tasks, whose bodies are the caller's, and returns how many there
// are: it waits for the first one only. The last ones come with io.EOF. A line that is no task is a
// *LineError; the n tasks before it are valid.
func (t *Tasks) Next(dst []glassq.Task) (n int, err error) {
	size := 0
	for n < len(dst) {
		line := t.held
		if n > 0 && line == nil && !t.in.ready() {
			return n, nil
		}
		if t.held = nil; line == nil {
			if line, err = t.in.next(); err != nil {
				return n, err
			}
			line = append([]byte(nil), line...) // tasks point into their lines
		}
		if n > 0 && size+len(line) > batchBytes {
			t.held = line
			return n, nil
		}
		size += len(line)
		dst[n] = glassq.Task{}
		if err := envelope.ParseTask(line, &dst[n]); err != nil {
			return n, &LineError{Line: t.in.line, Err: err}
		}
		if dst[n].Dense && dst[n].Run == "" {
			return n, &LineError{Line: t.in.line, Err: errors.New("n without run")}
		}
		if err := t.check.task(&dst[n]); err != nil {
			return n, &LineError{Line: t.in.line, Err: err}
		}
		n++
	}
	return n, nil
}
