package process

import (
	"slices"
	"sync"
	"time"
)

// How many lines a child may be ahead of its answers, unless PipeOptions.Window fixes it. With one
// line in flight each answer waits for a turn of two processes, which costs more than a short task.
// With many, a slow task holds up the lines behind it, which no other child can take any more. So a
// child has about aheadFor of its own work ahead: one line at first, more while its answers come
// fast, and none behind a task that it is at for longer than that.

const (
	aheadFor  = 5 * time.Millisecond // of work, by the mean of the latest answers
	mostAhead = 16                   // lines
	meanOver  = 16                   // answers that the means are of, about
	mostHands = 1024                 // handlers of children that take more than one line each
)

// A share is what one child has and may have.
type share struct {
	lines  int           // given to it, or about to be, and not answered
	window int           // most of them, from 1; there may be more since it shrank
	mean   time.Duration // that the latest answers took
	size   int           // bytes of the latest lines, in the mean
	since  time.Time     // from when it has been at the first of its lines, at the earliest
	over   bool          // its input is ended
}

// free is how many more lines it may have.
func (s *share) free() int { return max(s.window-s.lines, 0) }

// begin makes it that of a process that has answered nothing yet.
func (s *share) begin() { s.window, s.mean, s.size = 1, aheadFor, 0 }

// answered has the window follow an answer to a line of size bytes that took so long.
func (s *share) answered(took time.Duration, size int) {
	s.mean += (took - s.mean) / meanOver
	s.size += (size - s.size) / meanOver
	lines := min(int(aheadFor/max(s.mean, 1)), mayBlock/max(s.size, 1)) // more bytes than that could block the writer
	s.window = max(min(lines, mostAhead), 1)
}

// A windows decides which child gets a task. It is safe for concurrent use; its lock is the
// innermost.
type windows struct {
	wake func() // see worker.Options.Gate; called without mu

	mu    sync.Mutex // guards the fields below
	of    []share    // by child
	idle  []int      // children without a line; the last is asked first
	room  int        // sum of free
	total int        // sum of window
}

func newWindows(children int) *windows {
	w := &windows{wake: func() {}, of: make([]share, children), room: children, total: children}
	for i := range w.of {
		w.of[i].begin()
		w.idle = append(w.idle, children-1-i)
	}
	return w
}

// change does f to share c and keeps the sums. w.mu is held.
func (w *windows) change(c int, f func(s *share)) {
	s := &w.of[c]
	w.room -= s.free()
	w.total -= s.window
	f(s)
	w.room += s.free()
	w.total += s.window
}

// places is the sum of all windows.
func (w *windows) places() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.total
}

// enter gives a line to an idle child, else to the one with the fewest that is not at a slow task,
// and tells whether there may be room for another. It returns -1 if there is no such child.
func (w *windows) enter() (c int, more bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c = -1
	if n := len(w.idle); n > 0 {
		c = w.idle[n-1]
		w.idle = w.idle[:n-1]
		w.of[c].since = time.Now()
	} else if w.room > 0 {
		c = w.fewest()
	}
	if c >= 0 {
		w.of[c].lines++
		w.room--
	}
	return c, w.room > 0
}

// fewest is enter's choice among those that are busy.
func (w *windows) fewest() int {
	best, lines := -1, mostAhead
	slow := time.Now().Add(-aheadFor)
	for i := range w.of {
		if s := &w.of[i]; s.lines < lines && s.lines < s.window && s.since.After(slow) {
			best, lines = i, s.lines
		}
	}
	return best
}

// answered takes a line from child c that was answered at now and took so long.
func (w *windows) answered(c int, a *asked, now time.Time) (wake bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.change(c, func(s *share) {
		s.lines--
		s.since = now
		s.answered(a.took, a.size)
	})
	if w.of[c].lines == 0 {
		w.idle = append(w.idle, c)
	}
	a.freed = true
	return a.gone || w.of[c].free() > 1 // whoever waits for a takes one place
}

// back takes a line from child c that it was not given after all.
func (w *windows) back(c int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.change(c, func(s *share) { s.lines-- })
	if w.of[c].lines == 0 {
		w.idle = append(w.idle, c)
	}
}

// abandon notes that nobody waits for a any more.
func (w *windows) abandon(a *asked) {
	w.mu.Lock()
	a.gone = true
	freed := a.freed
	w.mu.Unlock()
	if freed {
		w.wake()
	}
}

// ended takes the lines of a process of child c that has ended. Any idle child is asked before this
// one.
func (w *windows) ended(c int, waiting []*asked) {
	w.mu.Lock()
	w.change(c, func(s *share) {
		s.lines -= len(waiting)
		s.begin()
	})
	for _, a := range waiting {
		a.freed = true
	}
	if w.of[c].lines == 0 {
		w.idle = slices.DeleteFunc(w.idle, func(i int) bool { return i == c })
		w.idle = slices.Insert(w.idle, 0, c)
	}
	w.mu.Unlock()
	w.wake()
}

// over returns the children that get no line any more, each once: those that have none, or all.
func (w *windows) over(all bool) []int {
	w.mu.Lock()
	defer w.mu.Unlock()
	var ended []int
	for i := range w.of {
		if s := &w.of[i]; !s.over && (all || s.lines == 0) {
			s.over = true
			ended = append(ended, i)
		}
	}
	return ended
}
