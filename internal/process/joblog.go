package process

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/plain"
)

// A Joblog is a table of what was run, one line per task, in the columns of GNU parallel's
// --joblog: sequence, host, start, run time, bytes sent and received, exit value, signal, command.
// The sequence is the task's position in its run plus one, else its place in this log. A line is one
// write, so several workers may append to one file. Safe for concurrent use.
type Joblog struct {
	mu  sync.Mutex // guards the fields below
	w   io.Writer
	n   int
	err error // the first one
}

// NewJoblog writes the head of the table, unless the log goes on. The caller must Close it.
func NewJoblog(w io.Writer, goesOn bool) *Joblog {
	j := &Joblog{w: w}
	if !goesOn {
		_, j.err = io.WriteString(w, "Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand\n")
	}
	return j
}

// oneLine makes a field of a line of any text, for people and their terminals.
func oneLine(text string) string { return plain.Text([]byte(lineEnds.Replace(text))) }

var lineEnds = strings.NewReplacer("\n", "\\n", "\t", "\\t", "\r", "\\r")

type jobLine struct {
	lease          *glassq.Lease
	host           string
	began          time.Time
	took           time.Duration
	sent, received int64
	code           int // exit value
	signal         int // number, 0 for none
	command        []string
}

func (j *Joblog) add(l jobLine) {
	host := l.host
	if host == "" {
		host = ":"
	}
	command := oneLine(strings.Join(l.command, " "))
	j.mu.Lock()
	defer j.mu.Unlock()
	j.n++
	seq := uint64(j.n)
	if l.lease.Dense {
		seq = uint64(l.lease.Position) + 1
	}
	line := fmt.Appendf(nil, "%d\t%s\t%d.%03d\t%10.3f\t%d\t%d\t%d\t%d\t%s\n", seq, host, l.began.Unix(),
		l.began.Nanosecond()/1e6,
		l.took.Seconds(), l.sent, l.received, l.code, l.signal, command)
	if _, err := j.w.Write(line); j.err == nil {
		j.err = err
	}
}

// Close tells the first error of any write. The file that it writes to stays open.
func (j *Joblog) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.err != nil {
		return fmt.Errorf("write the job log: %w", j.err)
	}
	return nil
}
