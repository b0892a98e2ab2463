package process

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/envelope"
	"github.com/glassq/glassq/worker"
)

// A child is a place that a process of the command holds; when that ends, another takes it with the
// next task.
type child struct {
	p *Pipe
	i int // its place; people and the child itself are told i+1

	mu     sync.Mutex // guards the fields below
	users  int        // handlers that have not left
	proc   *proc      // nil when none runs
	deaths int        // ended in a row without an answer
	died   time.Time  // the last one
	killed bool       // none is started any more
}

// A proc is one process of a child. Writers hold wmu across queueing and writing, so that answers
// are owed in the order of the lines; the reader takes mu only, so that it never waits for a
// writer.
type proc struct {
	c    *child
	cmd  *exec.Cmd
	in   io.WriteCloser
	done chan struct{} // closed when it has ended and all that waited is told

	stderr *prefixer // nil when it is dropped

	wmu sync.Mutex // orders the writes to in

	mu       sync.Mutex // guards the fields below
	waiting  []*asked   // in the order of the lines
	ahead    int        // bytes of their lines
	answered bool
	broken   error       // why it is, or is about to be, killed
	watch    *time.Timer // for Timeout; nil without
}

// ask gives a line to the child and waits until a is answered. With an error a may be answered
// later.
func (c *child) ask(ctx context.Context, a *asked, line []byte) error {
	p, err := c.running(ctx)
	switch {
	case ctx.Err() != nil:
		c.back()
		return ctx.Err()
	case err != nil:
		c.back()
		return &worker.NackError{Undone: errors.Is(err, errKilled), Err: err}
	}
	p.send(ctx, a, line)
	for ctx.Err() == nil {
		select {
		case <-a.done:
			return nil
		case s := <-a.said:
			if err := tell(ctx, c.p.opt.Logger, a.lease, a.reply, &s.x); err != nil {
				s.p.fail(fmt.Errorf("what the child said of its task is refused: %w", err))
			}
		case <-ctx.Done():
		}
	}
	select {
	case <-a.done: // answered just now
		return nil
	default:
		if w := c.p.windows; w != nil {
			w.abandon(a)
		}
		close(a.left)
		return ctx.Err()
	}
}

// back frees the place of a line that was not sent.
func (c *child) back() {
	if w := c.p.windows; w != nil {
		w.back(c.i)
	}
}

var (
	errKilled     = errors.New("the children are being ended")
	errNotReading = errors.New("the child does not read its input")
)

// running returns the child's process, started if need be. One that is about to end is waited for,
// and a child that keeps on ending without an answer is replaced ever more slowly.
func (c *child) running(ctx context.Context) (*proc, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for !c.killed {
		if c.proc != nil && !c.proc.isBroken() {
			return c.proc, nil
		}
		var ended <-chan struct{}
		var rested <-chan time.Time
		if c.proc != nil {
			ended = c.proc.done
		} else if c.deaths > 0 {
			wait := time.Until(c.died.Add(min(50*time.Millisecond<<min(c.deaths, 10), c.p.restart)))
			if wait <= 0 {
				break
			}
			rested = time.After(wait)
		} else {
			break
		}
		c.mu.Unlock()
		select {
		case <-ctx.Done():
		case <-ended:
		case <-rested:
		}
		c.mu.Lock()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
	if c.killed {
		return nil, errKilled
	}
	p, err := c.start()
	if err != nil {
		err = fmt.Errorf("start %q: %w", c.p.opt.Command[0], err)
		c.deaths++
		c.died = time.Now()
		c.p.note(false, false, err)
		return nil, err
	}
	c.proc = p
	return p, nil
}

func (c *child) start() (*proc, error) {
	opt := &c.p.opt
	p := &proc{c: c, done: make(chan struct{})}
	p.cmd = &exec.Cmd{Path: c.p.path, Args: c.p.argv, Env: ownEnv(), SysProcAttr: ownGroup()}
	p.cmd.Env = append(p.cmd.Env, fmt.Sprint("GLASSQ_CHILD=", c.i+1))
	if opt.Stderr != nil {
		p.stderr = &prefixer{w: opt.Stderr, prefix: fmt.Sprintf("[%d] ", c.i+1)}
		p.cmd.Stderr = p.stderr
		p.cmd.WaitDelay = killAfter // for those who hold standard error open after its end
	}
	var err error
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	// Not StdoutPipe: Wait would close it before the last line is read.
	out, outW, err := outPipe()
	if err != nil {
		return nil, err
	}
	p.cmd.Stdout = outW
	err = p.cmd.Start()
	outW.Close()
	if err != nil {
		out.Close()
		return nil, err
	}
	if opt.Timeout > 0 {
		p.watch = time.AfterFunc(time.Hour, p.expire)
		p.watch.Stop()
	}
	go p.read(out) // ends with the process; whoever waits for the child waits for done
	return p, nil
}

// mayBlock is how many bytes a pipe takes at least without anybody reading.
const mayBlock = 32 << 10

// send queues a and writes its line. Errors are told through a.
func (p *proc) send(ctx context.Context, a *asked, line []byte) {
	p.wmu.Lock()
	defer p.wmu.Unlock()
	p.mu.Lock()
	if p.broken != nil {
		a.err = p.broken // and not begun
		p.mu.Unlock()
		p.c.back()
		a.done <- struct{}{}
		return
	}
	p.waiting = append(p.waiting, a)
	p.ahead += a.size
	if len(p.waiting) == 1 {
		p.begin(a)
	}
	blocks := p.ahead > mayBlock
	p.mu.Unlock()
	if blocks { // for as long as the child likes; a line that is cut short leaves it useless
		defer context.AfterFunc(ctx, func() { p.fail(errNotReading) })()
	}
	if _, err := p.in.Write(line); err != nil {
		p.fail(errNotReading) // the reader sees the end and tells a
	}
}

// begin notes that a is the child's next. p.mu is held.
func (p *proc) begin(a *asked) {
	a.began = time.Now()
	if p.watch != nil {
		p.watch.Reset(p.c.p.opt.Timeout)
	}
}

// expire ends the process when its next task is not answered in time.
func (p *proc) expire() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.broken != nil || len(p.waiting) == 0 {
		return
	}
	limit := p.c.p.opt.Timeout
	a := p.waiting[0]
	if left := limit - time.Since(a.began); left > 0 {
		p.watch.Reset(left) // another one is next since
		return
	}
	a.late = true
	p.breakOff(fmt.Errorf("no answer within %v", limit))
}

// isBroken tells whether the process is about to be ended.
func (p *proc) isBroken() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.broken != nil
}

// fail ends the process because of what it did; an earlier reason stands.
func (p *proc) fail(why error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.breakOff(why)
}

// breakOff is fail with p.mu held.
func (p *proc) breakOff(why error) {
	if p.broken == nil {
		p.broken = why
		kill(p.cmd.Process)
	}
}

// read hands answers to those who wait for them, until the process ends.
func (p *proc) read(out *os.File) {
	lines := newLineReader(out)
	for {
		line, err := lines.next()
		if err == nil {
			err = p.answer(line)
		}
		if err != nil {
			p.end(out, line, err)
			return
		}
	}
}

// answer gives line to the first that waits. Its error says what is wrong with the line.
func (p *proc) answer(line []byte) error {
	if len(bytes.TrimSpace(line)) == 0 {
		return nil
	}
	wrong := checkAnswer(line)
	if wrong != nil {
		if x, err := readSaying(line); x != nil {
			return p.say(x)
		} else if err != nil {
			wrong = err
		}
	}
	now := time.Now()
	wake, err := p.takeLine(line, wrong, now)
	if wake {
		p.c.p.windows.wake()
	}
	return err
}

// readSaying reads a line of progress. It returns nil for any other line, with an error for one that
// is meant to be.
func readSaying(line []byte) (*glassq.Extend, error) {
	var x glassq.Extend
	err := envelope.ParseSaying(line, &x)
	switch {
	case err == nil: // what is read may alias the line
		if x.Progress != nil {
			x.Progress.Checkpoint = bytes.Clone(x.Progress.Checkpoint)
		}
		for i := range x.Put {
			x.Put[i].Body, x.Put[i].Extra = bytes.Clone(x.Put[i].Body), bytes.Clone(x.Put[i].Extra)
		}
		return &x, nil
	case bytes.Contains(line, []byte(`"progress"`)):
		return nil, err
	}
	return nil, nil
}

// say hands what the child says of its next task to whoever waits for that. The child's answer is
// read after it.
func (p *proc) say(x *glassq.Extend) error {
	p.mu.Lock()
	if len(p.waiting) == 0 {
		p.mu.Unlock()
		return errors.New("the child wrote a line of progress, and has no task")
	}
	a := p.waiting[0]
	p.mu.Unlock()
	select {
	case a.said <- saying{p, *x}:
	case <-a.left:
	}
	return nil
}

// takeLine is answer of a line that is wrong, or nil; wake is for the gate.
func (p *proc) takeLine(line []byte, wrong error, now time.Time) (wake bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.broken != nil && p.broken != errNotReading: // one that has ended has said this before
		return false, p.broken
	case wrong != nil:
		return false, fmt.Errorf("the child wrote a line that is neither a result nor a nack (%w): %s", wrong, quote(line))
	case len(p.waiting) == 0:
		return false, fmt.Errorf("the child wrote a line that answers no task: %s", quote(line))
	}
	a := p.waiting[0]
	n := copy(p.waiting, p.waiting[1:])
	p.waiting[n] = nil
	p.waiting = p.waiting[:n]
	p.ahead -= a.size
	if !p.answered {
		p.answered = true
		p.c.p.note(true, true, nil)
	}
	a.answer = append(a.answer[:0], line...)
	a.took = now.Sub(a.began)
	if n > 0 {
		p.begin(p.waiting[0])
	} else if p.watch != nil {
		p.watch.Stop()
	}
	if w := p.c.p.windows; w != nil {
		wake = w.answered(p.c.i, a, now)
	}
	a.done <- struct{}{}
	return wake, nil
}

// end waits for the process, which is killed unless its output just ended, and tells all that wait.
func (p *proc) end(out *os.File, rest []byte, why error) {
	if why != io.EOF && why != io.ErrUnexpectedEOF {
		p.fail(why)
	}
	// A child that closed its output but stays is of no use.
	late := time.AfterFunc(killAfter, func() { kill(p.cmd.Process) })
	p.in.Close()
	p.cmd.Wait() // how it ended is in ProcessState
	late.Stop()
	kill(p.cmd.Process) // what it has left behind in its group
	out.Close()
	if p.stderr != nil {
		p.stderr.flush()
	}

	c := p.c
	c.mu.Lock()
	killed, planned := c.killed, c.killed || c.users == 0
	if c.proc == p {
		c.proc = nil
	}
	p.mu.Lock()
	p.broken = p.reason(why, rest)
	broken, waiting, answered := p.broken, p.waiting, p.answered
	p.waiting = nil
	if p.watch != nil {
		p.watch.Stop()
	}
	p.mu.Unlock()
	c.deaths++
	if answered {
		c.deaths = 0
	}
	c.died = time.Now()
	c.mu.Unlock()

	if !planned {
		c.p.opt.Logger.Warn("child ended; another takes its place with the next task", "child", c.i+1, "pid",
			p.cmd.Process.Pid,
			"why", broken.Error(), "unanswered", len(waiting))
		c.p.note(answered, true, broken)
	}
	if w := c.p.windows; w != nil {
		w.ended(c.i, waiting)
	}
	for i, a := range waiting {
		a.err, a.next = broken, i == 0 && !killed
		a.late = a.late && !killed
		a.took = time.Since(a.began)
		a.done <- struct{}{}
	}
	close(p.done)
}

// reason says why the process has ended. p.mu is held.
func (p *proc) reason(why error, rest []byte) error {
	state := p.cmd.ProcessState
	if p.broken != nil && !(p.broken == errNotReading && state.ExitCode() >= 0) {
		return p.broken
	}
	if why == io.ErrUnexpectedEOF {
		return fmt.Errorf("the child ended (%v) in the middle of a line: %s", state, quote(rest))
	}
	return fmt.Errorf("the child ended (%v)", state)
}

// kill ends the child for good.
func (c *child) kill() {
	c.mu.Lock()
	c.killed = true
	p := c.proc
	c.mu.Unlock()
	if p != nil {
		p.fail(errKilled)
	}
}

// leave counts a handler that is gone. With the last one the child's input ends; it gets closeGrace
// to end by itself.
func (c *child) leave() {
	c.mu.Lock()
	c.users--
	p, last := c.proc, c.users == 0
	c.mu.Unlock()
	if p == nil || !last {
		return
	}
	p.wmu.Lock()
	p.in.Close() // an error would show in the process not ending
	p.wmu.Unlock()
	ask := time.AfterFunc(closeGrace, func() {
		c.p.opt.Logger.Warn("child does not end with its input; it is ended", "child", c.i+1, "pid", p.cmd.Process.Pid)
		terminate(p.cmd.Process)
	})
	end := time.AfterFunc(closeGrace+killAfter, func() { kill(p.cmd.Process) })
	<-p.done
	ask.Stop()
	end.Stop()
}

// A prefixer writes whole lines to w with a prefix. Its own writes come from one goroutine.
type prefixer struct {
	w      io.Writer
	prefix string
	line   []byte
}

// maxStderr is where a line of standard error is cut in two.
const maxStderr = 16 << 10

// Write never fails: what cannot be shown is no trouble of the child.
func (p *prefixer) Write(b []byte) (int, error) {
	for _, c := range b {
		if len(p.line) == 0 {
			p.line = append(p.line, p.prefix...)
		}
		if c == '\n' || len(p.line) >= maxStderr {
			p.flush()
			if c == '\n' {
				continue
			}
			p.line = append(p.line, p.prefix...)
		}
		p.line = append(p.line, c)
	}
	return len(b), nil
}

func (p *prefixer) flush() {
	if len(p.line) > 0 {
		p.w.Write(append(p.line, '\n')) // see Write
		p.line = p.line[:0]
	}
}
