package process

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/jsonline"
	"github.com/glassq/glassq/internal/lack"
	"github.com/glassq/glassq/result"
	"github.com/glassq/glassq/worker"
)

// ExecOptions tunes NewExec.
type ExecOptions struct {
	// Command is the program and its arguments, in which {} stands for the task's body. Without {}
	// the body is the standard input. With Shell it is one text for sh, in which {} stands for the
	// body as one word wherever it stands; NewExec refuses a {} that no word can be made of, and
	// one in the text of sh -c. Nothing in a body is ever run.
	Command []string
	Shell   bool
	Timeout time.Duration // then the process group is ended; 0 means none
	Retries int           // further tries of a task that failed
	Capture int           // bytes of standard output, and of standard error, kept in the result; 0 means 8 KiB, negative none
	Worker  string        // name in the results; "" leaves it out
	Print   *Printer      // gets the captured standard output; nil for none
	Halt    *Halt         // told of every end; nil for none
	Joblog  *Joblog       // nil for none
	Logger  *slog.Logger  // nil discards

	// Failed is called once when the command turns out not to start: ten times in a row, with none
	// running. It should end the worker, and must not block. May be nil.
	Failed func(error)
}

const (
	placeholder    = "{}"
	defaultCapture = 8 << 10
	maxCapture     = 8 << 20                // so that the result stays below a body's limit
	outputGrace    = 500 * time.Millisecond // for output that a process's children hold open after its end
)

// An Exec runs a process per task.
type Exec struct {
	opt   ExecOptions
	path  string
	argv  []string
	holes []int // arguments with a placeholder
	env   []string
	null  *os.File // standard input of those that need none
	dir   string   // of journals

	mu      sync.Mutex // guards the fields below
	running map[*os.Process]bool
	killed  bool
	failed  int // starts in a row that did
}

// NewExec checks opt and looks the program up. The caller must Close it after the handlers.
func NewExec(opt ExecOptions) (*Exec, error) {
	if opt.Timeout < 0 || opt.Retries < 0 {
		return nil, errors.New("time-out and retries are not negative")
	}
	switch {
	case opt.Capture == 0:
		opt.Capture = defaultCapture
	case opt.Capture < 0:
		opt.Capture = 0
	case opt.Capture > maxCapture:
		return nil, fmt.Errorf("capture of %d bytes; at most %d are kept", opt.Capture, maxCapture)
	}
	e := &Exec{opt: opt, argv: slices.Clone(opt.Command), env: ownEnv(), running: map[*os.Process]bool{}}
	var err error
	if opt.Shell {
		if e.argv, err = shellCommand(strings.Join(opt.Command, " ")); err != nil {
			return nil, err
		}
	}
	if len(e.argv) > 0 && strings.Contains(e.argv[0], placeholder) {
		return nil, errors.New(isCommand)
	}
	if e.path, e.argv, err = lookUp(e.argv); err != nil {
		return nil, err
	}
	for i, arg := range e.argv {
		if strings.Contains(arg, placeholder) {
			e.holes = append(e.holes, i)
			if i == programText(e.argv) {
				return nil, errors.New(intoProgram)
			}
		}
	}
	if e.opt.Logger == nil {
		e.opt.Logger = slog.New(slog.DiscardHandler)
	}
	if e.dir, err = os.MkdirTemp("", "glassq-exec-"); err != nil {
		return nil, fmt.Errorf("make a folder for what commands say of their tasks: %w", err)
	}
	if e.null, err = os.Open(os.DevNull); err != nil {
		return nil, errors.Join(err, os.RemoveAll(e.dir))
	}
	return e, nil
}

// Handler returns a new handler; i is not looked at. It has the signature that worker.Run wants.
func (e *Exec) Handler(i int) worker.Handler { return &execHandler{e: e} }

// Close frees what the handlers shared.
func (e *Exec) Close() error { return errors.Join(e.null.Close(), os.RemoveAll(e.dir)) }

// Kill ends all that runs at once; their tasks go back.
func (e *Exec) Kill() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.killed = true
	for p := range e.running {
		kill(p)
	}
}

// note keeps p among the running ones, or ends it if all are to end.
func (e *Exec) note(p *os.Process) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.running[p] = true
	e.failed = 0
	if e.killed {
		kill(p)
	}
}

// notStarted counts a start that failed; err says why.
func (e *Exec) notStarted(err error) error {
	err = fmt.Errorf("start %q: %w", e.opt.Command[0], err) // the machine's trouble: others may do it
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.running) > 0 || lack.Of(err) != "" { // then it is not the command
		return err
	}
	if e.failed++; e.failed == maxFruitless && e.opt.Failed != nil {
		e.opt.Failed(fmt.Errorf("%d starts failed one after the other; the last one: %w", maxFruitless, err))
	}
	return err
}

// forget drops p and reports whether Kill was called.
func (e *Exec) forget(p *os.Process) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.running, p)
	return e.killed
}

// An execHandler runs one process at a time. Its buffers are used again.
type execHandler struct {
	e        *Exec
	out, err capture
	members  []byte
	env      []string
	argv     []string
}

// Handle runs the command for l and waits for its end.
func (h *execHandler) Handle(ctx context.Context, l *glassq.Lease, r *worker.Reply) error {
	opt := &h.e.opt
	if opt.Print != nil {
		defer opt.Print.release(l.Number)
	}
	if err := opt.Halt.halted(); err != nil {
		return err
	}
	res := result.Record{Began: time.Now(), Lag: l.Late, Worker: opt.Worker, Attempt: l.Attempt}
	end, err := h.run(ctx, l, r, &res)
	if err != nil {
		return err
	}
	if !res.OK && res.Class != result.ClassBadTask {
		if err := again(l, opt.Retries, res.Class+": "+res.Message); err != nil {
			return err
		}
	}
	r.Body = result.Append(r.Body, l.Body, l.Type, &res)
	r.Type = glassq.TypeJSON
	if opt.Joblog != nil {
		line := jobLine{lease: l, host: opt.Worker, began: res.Began, took: res.Took, received: res.Bytes,
			code:   max(end.code, 0),
			signal: end.signalNumber, command: h.argv}
		if len(h.e.holes) == 0 {
			line.sent = int64(len(l.Body))
		}
		opt.Joblog.add(line)
	}
	if opt.Print != nil {
		opt.Print.set(l.Number, l.Body, h.out.kept)
	}
	if opt.Halt != nil {
		opt.Halt.note(res.OK)
	}
	return nil
}

// run fills res. Its error means that there is nothing to say of the task: it goes back.
func (h *execHandler) run(ctx context.Context, l *glassq.Lease, r *worker.Reply, res *result.Record) (ending, error) {
	e := h.e
	if !h.arguments(l.Body, res) {
		return ending{}, nil
	}
	j, err := newJournal(e.dir, e.opt.Logger, l, r)
	if err != nil {
		return ending{}, err
	}
	defer j.remove()
	h.env = j.env(appendEnv(append(h.env[:0], e.env...), l))
	h.out.reset(e.opt.Capture)
	h.err.reset(e.opt.Capture)
	p, pipes, err := h.start(l)
	if err != nil {
		if errors.Is(err, syscall.E2BIG) {
			res.Class, res.Message = result.ClassBadTask, tooLong(len(l.Body))
			return ending{}, nil
		}
		return ending{}, e.notStarted(err)
	}
	e.note(p)
	stop := context.AfterFunc(ctx, func() { kill(p) })
	j.follow(ctx)
	var deadline *deadline
	if e.opt.Timeout > 0 {
		deadline = newDeadline(p, e.opt.Timeout)
	}
	state, err := p.Wait()
	res.Took = time.Since(res.Began)
	late := deadline.stop(p)
	stop()
	pipes.finish(time.Now().Add(outputGrace))
	killed := e.forget(p)
	refused := j.finish(ctx)
	switch {
	case ctx.Err() != nil:
		return ending{}, ctx.Err()
	case killed:
		return ending{}, &worker.NackError{Undone: true, Err: errKilled}
	case err != nil:
		return ending{}, fmt.Errorf("wait for %s: %w", e.argv[0], err)
	case refused != nil:
		return ending{}, refused
	}
	end := endingOf(state)
	h.judge(res, end, late)
	return end, nil
}

// arguments fills in the body where {} is.
func (h *execHandler) arguments(body []byte, res *result.Record) bool {
	h.argv = append(h.argv[:0], h.e.argv...)
	if len(h.e.holes) == 0 {
		return true
	}
	text := string(body)
	if strings.IndexByte(text, 0) >= 0 {
		res.Class, res.Message = result.ClassBadTask, "a body with a zero byte cannot be an argument; without {} it is the standard input"
		return false
	}
	size := 0
	for _, i := range h.e.holes {
		if size += strings.Count(h.argv[i], placeholder) * len(text); size > maxArguments { // E2BIG, before they are made
			res.Class, res.Message = result.ClassBadTask, tooLong(len(text))
			return false
		}
		h.argv[i] = strings.ReplaceAll(h.argv[i], placeholder, text)
	}
	return true
}

// maxArguments is more bytes than any system takes for the arguments of a process.
const maxArguments = 8 << 20

func tooLong(n int) string {
	return fmt.Sprintf("a body of %d bytes is too long for an argument; without {} it is the standard input", n)
}

// judge fills res from how the process ended.
func (h *execHandler) judge(res *result.Record, end ending, late bool) {
	switch {
	case late:
		res.Class, res.Message = result.ClassTimeout, fmt.Sprintf("not done within %v", h.e.opt.Timeout)
	case end.signal != "":
		res.Class, res.Message = result.ClassSignal, "ended by "+end.signal
	case end.code != 0:
		res.Class, res.Message = result.ClassExit, fmt.Sprintf("exit status %d", end.code)
	default:
		res.OK = true
	}
	res.Bytes = h.out.n
	res.Code = max(end.code, 0)
	b := h.members[:0]
	if end.signal == "" {
		b = strconv.AppendInt(append(b, `"exit":`...), int64(end.code), 10)
	} else {
		b = jsonline.AppendString(append(b, `"signal":`...), end.signal)
	}
	b = h.out.append(b, "stdout")
	b = h.err.append(b, "stderr")
	b = append(b, `,"ru":{"user":`...)
	b = strconv.AppendFloat(b, end.user.Seconds(), 'f', -1, 64)
	b = append(b, `,"sys":`...)
	b = strconv.AppendFloat(b, end.sys.Seconds(), 'f', -1, 64)
	if end.rss > 0 {
		b = append(b, `,"rss":`...)
		b = strconv.AppendInt(b, end.rss, 10)
	}
	h.members = append(b, '}')
	res.More = string(h.members)
}

// A capture keeps the first bytes of a stream.
type capture struct {
	kept []byte
	most int
	n    int64 // bytes that came
	buf  []byte
}

func (c *capture) reset(most int) { c.kept, c.most, c.n = c.kept[:0], most, 0 }

// read takes all of r in, until its end. A deadline of r ends the waiting: what is in the pipe by then
// is taken in all the same, as a busy machine may come to it late.
func (c *capture) read(r *os.File) {
	if c.buf == nil {
		c.buf = make([]byte, 16<<10)
	}
	for {
		n, err := r.Read(c.buf)
		c.take(n)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			c.rest(r)
		}
		if err != nil {
			return
		}
	}
}

// largestPipe is how much a pipe holds at most that a process without rights made larger; what comes
// beyond it is of one that goes on writing.
const largestPipe = 1 << 20

// rest takes in what r has, without waiting.
func (c *capture) rest(r *os.File) {
	raw, err := r.SyscallConn()
	if err != nil {
		return
	}
	raw.Control(func(fd uintptr) {
		for left := largestPipe; left > 0; {
			n := readNow(fd, c.buf)
			if n <= 0 {
				return
			}
			c.take(n)
			left -= n
		}
	})
}

// take notes the first n bytes of the buffer.
func (c *capture) take(n int) {
	c.n += int64(n)
	c.kept = append(c.kept, c.buf[:min(n, c.most-len(c.kept))]...)
}

// append appends the members that say what was kept; an empty stream is left out.
func (c *capture) append(b []byte, name string) []byte {
	if c.n == 0 {
		return b
	}
	return jsonline.AppendExcerpt(b, name, c.kept, c.n)
}

// A deadline ends a process group: asked first, then killed.
type deadline struct {
	mu    sync.Mutex // guards the fields below
	timer *time.Timer
	late  bool
	over  bool
}

func newDeadline(p *os.Process, after time.Duration) *deadline {
	d := &deadline{}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.timer = time.AfterFunc(after, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.over {
			return
		}
		if d.late {
			kill(p)
			return
		}
		d.late = true
		terminate(p)
		d.timer.Reset(killAfter)
	})
	return d
}

// stop reports whether the deadline had passed; what is left of the group is killed then. A nil
// deadline never passes.
func (d *deadline) stop(p *os.Process) bool {
	if d == nil {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.over = true
	d.timer.Stop()
	if d.late {
		kill(p)
	}
	return d.late
}
