package output

import (
	"bufio"
	"fmt"
	"io"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/plain"
)

// An idList writes ids, one on each line, as dispatch --ids reads them. Its zero value drops them.
// close tells which could not be written: the ids are in the results, too.
type idList struct {
	list
	seen *Seen // positions that were listed; nil lists an id as often as it is added
}

func newIDList(what string, w io.Writer, once bool) *idList {
	l := &idList{list: newList(what+" ids", w)}
	if once {
		l.seen = new(Seen)
	}
	return l
}

// add lists the task of a result.
func (l *idList) add(lease *glassq.Lease) {
	if l.w == nil {
		return
	}
	if n, ok := position(lease); ok && l.seen != nil && !l.seen.add(lease.Run, n) {
		return
	}
	l.buf = append(append(l.buf[:0], plain.Text([]byte(lease.TaskID()))...), '\n')
	l.w.Write(l.buf) // the error stays until close
}

// interval lists positions of a run.
func (l *idList) interval(run string, iv glassq.Interval) {
	if l.w == nil {
		return
	}
	for n := uint64(iv.First); n <= uint64(iv.Last); n++ {
		if _, err := fmt.Fprintf(l.w, "%s/%d\n", run, n); err != nil {
			return
		}
	}
}

// A list is what lists of failed tasks and of ids share. Without w it drops everything.
type list struct {
	what string
	w    *bufio.Writer
	buf  []byte
}

func newList(what string, w io.Writer) list {
	if w == nil {
		return list{}
	}
	return list{what: what, w: bufio.NewWriterSize(w, 64<<10)}
}

// close tells whether all was written.
func (l *list) close() error {
	if l.w == nil {
		return nil
	}
	if err := l.w.Flush(); err != nil {
		return fmt.Errorf("write the list of %s: %w", l.what, err)
	}
	return nil
}
