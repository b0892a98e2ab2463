package process

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/envelope"
	"github.com/glassq/glassq/internal/jsonline"
	"github.com/glassq/glassq/internal/lack"
	"github.com/glassq/glassq/result"
	"github.com/glassq/glassq/worker"
)

// PipeOptions tunes NewPipe.
type PipeOptions struct {
	Command  []string      // program and arguments
	Children int           // 0 means 1
	Window   int           // lines that a child may be ahead of its answers; 0 adapts to how fast they come: see window.go
	Timeout  time.Duration // most time for an answer once a task is its child's next; 0 means none
	Retries  int           // further tries of a task that failed or got no answer in time
	Worker   string        // name in the results; "" leaves it out
	Stderr   io.Writer     // gets the children's standard error, by lines with "[child] " before them; nil drops it
	Logger   *slog.Logger  // nil discards
	Halt     *Halt         // told of every answer; nil for none
	Joblog   *Joblog       // nil for none

	// Failed is called once, from a goroutine of its own, when the command turns out not to work:
	// ten in a row did not start, or ended and none has ever answered. It should end the worker.
	// May be nil.
	Failed func(error)
}

const (
	maxRestart = 5 * time.Second  // longest wait before a child is replaced that ended without an answer
	closeGrace = 10 * time.Second // for a child whose input has ended
)

// A Pipe keeps children and makes handlers that share them. With a fixed Window every child has
// that many handlers of its own; else the gate gives a handler a child with each task.
type Pipe struct {
	opt      PipeOptions
	path     string
	argv     []string
	children []*child
	handlers []*pipeHandler
	windows  *windows      // nil when Window is fixed
	restart  time.Duration // longest wait before a child is replaced

	mu        sync.Mutex // guards the fields below
	users     int        // handlers that are not closed
	answered  bool       // some child has answered
	fruitless int        // children that ended before that, or did not start, since the last answer
	failed    bool       // Failed was called
}

// NewPipe checks opt and looks the program up; no child is started yet.
func NewPipe(opt PipeOptions) (*Pipe, error) {
	if opt.Children == 0 {
		opt.Children = 1
	}
	if opt.Children < 1 || opt.Window < 0 || opt.Children > 10_000 || opt.Window > 10_000 ||
		opt.Children*opt.Window > 100_000 {
		return nil, fmt.Errorf("%d children with %d lines ahead each: both are at most 10,000, and at most 100,000 together", opt.Children, opt.Window)
	}
	if opt.Timeout < 0 || opt.Retries < 0 {
		return nil, errors.New("time-out and retries are not negative")
	}
	if opt.Logger == nil {
		opt.Logger = slog.New(slog.DiscardHandler)
	}
	path, argv, err := lookUp(opt.Command)
	if err != nil {
		return nil, err
	}
	p := &Pipe{opt: opt, path: path, argv: argv, restart: maxRestart}
	n := opt.Children * opt.Window
	if opt.Window == 0 {
		p.windows = newWindows(opt.Children)
		n = max(min(opt.Children*mostAhead, mostHands), opt.Children)
	}
	for i := range opt.Children {
		p.children = append(p.children, &child{p: p, i: i, users: max(opt.Window, 1)})
	}
	for i := range n {
		h := &pipeHandler{p: p}
		if opt.Window > 0 {
			h.c = p.children[i%len(p.children)]
		}
		p.handlers = append(p.handlers, h)
	}
	p.users = n
	return p, nil
}

// Concurrency is how many handlers there are.
func (p *Pipe) Concurrency() int { return len(p.handlers) }

// Handler returns handler i of 0 to Concurrency-1, to be closed once. It has the signature that
// worker.Run wants.
func (p *Pipe) Handler(i int) worker.Handler { return p.handlers[i] }

// Gate is the worker.Options.Gate that the handlers need; nil when they need none.
func (p *Pipe) Gate() func(wake func()) worker.Gate {
	if p.windows == nil {
		return nil
	}
	return func(wake func()) worker.Gate {
		p.windows.wake = wake
		return gate{p}
	}
}

// A gate is a worker.Gate.
type gate struct{ p *Pipe }

func (g gate) Enter(i int) (ok, more bool) {
	c, more := g.p.windows.enter()
	if c < 0 {
		return false, false
	}
	g.p.handlers[i].c = g.p.children[c]
	return true, more
}

func (g gate) Places() int { return g.p.windows.places() }

// Kill ends all children at once; their tasks go back.
func (p *Pipe) Kill() {
	for _, c := range p.children {
		c.kill()
	}
}

// note takes in that a child has given its first answer, or has ended or did not start; why says so
// then.
func (p *Pipe) note(answered, started bool, why error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if answered {
		p.answered, p.fruitless = true, 0
		return
	}
	if p.answered && started || lack.Of(why) != "" {
		return
	}
	p.fruitless++
	if p.fruitless < maxFruitless || p.failed || p.opt.Failed == nil {
		return
	}
	p.failed = true
	what := "ended one after the other before any of them answered"
	if !started {
		what = "did not start or ended one after the other"
	}
	go p.opt.Failed(fmt.Errorf("%d children of %q %s; the last one: %w", p.fruitless, p.opt.Command[0], what, why))
}

// leave closes a handler that has no task; none begins any more.
func (p *Pipe) leave() {
	p.mu.Lock()
	p.users--
	last := p.users == 0
	p.mu.Unlock()
	var wg sync.WaitGroup
	for _, i := range p.windows.over(last) {
		wg.Go(p.children[i].leave)
	}
	wg.Wait()
}

// A pipeHandler is one line that a child may have to answer.
type pipeHandler struct {
	p     *Pipe
	c     *child // with a gate, of the task that Handle is called with next
	asked *asked // nil while an earlier one may still be answered
	line  []byte
}

// Close ends the children that no handler is left for.
func (h *pipeHandler) Close() error {
	if h.p.windows == nil {
		h.c.leave()
	} else {
		h.p.leave()
	}
	return nil
}

// Handle gives the child the task's line and waits for its answer.
func (h *pipeHandler) Handle(ctx context.Context, l *glassq.Lease, r *worker.Reply) error {
	if err := h.p.opt.Halt.halted(); err != nil {
		h.c.back()
		return err
	}
	h.line = append(envelope.AppendLease(h.line[:0], l), '\n')
	a := h.asked
	if a == nil {
		a = &asked{done: make(chan struct{}, 1), said: make(chan saying), left: make(chan struct{})}
	}
	*a = asked{done: a.done, said: a.said, left: a.left, answer: a.answer[:0], size: len(h.line), given: time.Now(),
		lease: l, reply: r}
	h.asked = nil
	if err := h.c.ask(ctx, a, h.line); err != nil {
		return err
	}
	h.asked = a
	return h.c.reply(a, l, r)
}

// An asked is a line that was written to a child. The child's reader fills answer, err, began and
// took before it sends on done.
type asked struct {
	done   chan struct{} // capacity 1
	said   chan saying   // what the child says before it answers
	left   chan struct{} // closed when nobody waits for the answer any more
	lease  *glassq.Lease
	reply  *worker.Reply
	size   int // of the line
	answer []byte
	err    error         // why there is no answer
	given  time.Time     // when the handler got it
	began  time.Time     // when it was the child's next
	took   time.Duration // from then to the answer
	next   bool          // the child was at it when it ended
	late   bool          // not answered in time

	freed, gone bool // the child has its place back; nobody waits for it. Both are guarded by windows.mu
}

// A saying is what a child said of its task.
type saying struct {
	p *proc
	x glassq.Extend
}

// reply makes the reply out of an answer: a result, a nack, or the end of the child.
func (c *child) reply(a *asked, l *glassq.Lease, r *worker.Reply) error {
	opt := &c.p.opt
	ok := false
	res := result.Record{Took: a.took, Began: a.began, Lag: l.Late + a.began.Sub(a.given), Worker: opt.Worker,
		Attempt: l.Attempt}
	switch {
	case a.late:
		msg := fmt.Sprintf("no answer within %v", opt.Timeout)
		if err := again(l, opt.Retries, msg); err != nil {
			return err
		}
		res.Class, res.Message = result.ClassTimeout, msg
		r.Body = result.Append(r.Body, l.Body, l.Type, &res)
	case a.err != nil && a.next:
		return &worker.NackError{Err: a.err}
	case a.err != nil: // the child had not begun it
		return &worker.NackError{Undone: true, Err: a.err}
	default:
		body, err := result.Complete(r.Body, a.answer, l.Body, l.Type, &res)
		if err != nil {
			return nackOf(a.answer)
		}
		if ok = result.OutcomeOf(body, glassq.TypeJSON) == glassq.OK; !ok {
			if err := again(l, opt.Retries, "the child said failed"); err != nil {
				return err
			}
		}
		r.Body = body
	}
	r.Type = glassq.TypeJSON
	opt.finished(l, ok, a)
	return nil
}

// finished tells the job log and the halting rule of an end.
func (o *PipeOptions) finished(l *glassq.Lease, ok bool, a *asked) {
	if o.Joblog != nil {
		code := 0
		if !ok {
			code = 1
		}
		o.Joblog.add(jobLine{lease: l, host: o.Worker, began: a.began, took: a.took, sent: int64(len(l.Body)),
			received: int64(len(a.answer)),
			code:     code, command: o.Command})
	}
	if o.Halt != nil {
		o.Halt.note(ok)
	}
}

// An answerNack is the other answer that a child may give.
type answerNack struct {
	Nack json.RawMessage `json:"nack"`
}

// nackOf reads {"nack":{"delay":"5s","reason":"…","dead":false}}. Its result is a *worker.NackError
// if that is what answer is, else any other error.
func nackOf(answer []byte) error {
	var n answerNack
	if err := json.Unmarshal(answer, &n); err != nil {
		return fmt.Errorf("its nack does not parse: %w", err)
	}
	if len(n.Nack) == 0 || string(n.Nack) == "null" {
		return errors.New(`it has neither an object "o" nor an object "nack"`)
	}
	var line struct {
		Delay  json.RawMessage `json:"delay"`
		Reason string          `json:"reason"`
		Dead   bool            `json:"dead"`
		Undone bool            `json:"undone"`
		Hold   json.RawMessage `json:"hold"`
	}
	d := json.NewDecoder(bytes.NewReader(n.Nack))
	d.DisallowUnknownFields() // what it says is done or refused, as over HTTP
	if err := d.Decode(&line); err != nil {
		return fmt.Errorf("its nack does not parse: %w", err)
	}
	if line.Dead && line.Undone {
		return errors.New("its nack is both dead and undone")
	}
	nack := &worker.NackError{Dead: line.Dead, Undone: line.Undone}
	if line.Reason != "" {
		nack.Err = errors.New(line.Reason)
	}
	delay, said, err := durationOf("delay", line.Delay, glassq.MaxDelay)
	if err != nil {
		return err
	}
	if nack.Delay = delay; said && delay == 0 {
		nack.Delay = glassq.AtOnce
	}
	if nack.Hold, _, err = durationOf("hold", line.Hold, glassq.MaxHold); err != nil {
		return err
	}
	return nack
}

// durationOf reads a member of a nack, and tells whether it is there.
func durationOf(member string, raw json.RawMessage, most time.Duration) (d time.Duration, said bool, err error) {
	if len(raw) == 0 || string(raw) == "null" {
		return 0, false, nil
	}
	d, ok := jsonline.Duration(raw)
	if !ok || d > most {
		return 0, false, fmt.Errorf("its %s %.40s is neither a duration like \"5s\" nor a number of seconds, up to %v", member, raw, most)
	}
	return d, true, nil
}

// checkAnswer tells what is wrong with a child's line, or nil.
func checkAnswer(line []byte) error {
	var r result.Record
	if result.Parse(line, &r) && utf8.Valid(line) {
		return nil
	}
	_, err := result.Complete(nil, line, nil, "", &result.Record{})
	if err == nil {
		return nil
	}
	nack := nackOf(line)
	if _, ok := errors.AsType[*worker.NackError](nack); ok {
		return nil
	}
	if jsonline.Valid(line) {
		return nack
	}
	return err
}
