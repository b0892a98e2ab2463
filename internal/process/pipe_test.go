package process

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/worker"
)

// TestMain lets the test binary be the child that tests need: its first argument after "child" says
// which.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "child" {
		os.Exit(childMain(os.Args[2], os.Args[3:]))
	}
	os.Exit(m.Run())
}

func childCommand(t testing.TB, args ...string) []string {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return append([]string{exe, "child"}, args...)
}

// childMain is a child that does as each body says, or as mode says.
func childMain(mode string, args []string) int {
	switch mode {
	case "dead":
		return 3
	case "banner":
		fmt.Println("ready!")
	case "closed":
		os.Stdout.Close()
	case "exec":
		return execMain(args)
	}
	lines := newLineReader(os.Stdin)
	for {
		line, err := lines.next()
		if err != nil {
			fmt.Fprintln(os.Stderr, "input ended")
			return 0
		}
		var l struct {
			Body    string
			Attempt int
		}
		if err := json.Unmarshal(line, &l); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 9
		}
		what, rest, _ := strings.Cut(l.Body, " ")
		switch what {
		case "ok":
			fmt.Printf("{\"o\":{\"ok\":1,\"rt\":0.5,\"said\":%q}}\n", rest)
		case "fail":
			fmt.Println(`{"i":"mine","o":{"ok":0}}`)
		case "say":
			fmt.Println(rest)
		case "lines":
			fmt.Println(strings.ReplaceAll(rest, "|", "\n"))
		case "bytes":
			n, _ := strconv.Atoi(rest)
			fmt.Printf("{\"o\":{\"ok\":1,\"long\":\"%s\"}}\n", strings.Repeat("x", n))
		case "exit":
			n, _ := strconv.Atoi(rest)
			return n
		case "once": // ends with the first attempt
			if l.Attempt == 1 {
				return 4
			}
			fmt.Println(`{"o":{"ok":1}}`)
		case "half":
			fmt.Print(`{"o":{"ok":1`)
			return 0
		case "latin1":
			fmt.Println("{\"o\":{\"x\":\"\xe9\"}}")
		case "hang":
			hang()
		case "stderr":
			fmt.Fprint(os.Stderr, "a line\nhalf a line")
			fmt.Println(`{"o":{"ok":1}}`)
		case "pid":
			fmt.Printf("{\"o\":{\"ok\":1,\"pid\":%d}}\n", os.Getpid())
		}
	}
}

// hang is a child that does nothing until it is ended.
func hang() { time.Sleep(time.Hour) }

// safe is a buffer for concurrent use.
type safe struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safe) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safe) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func newPipe(t testing.TB, opt PipeOptions, mode string) (*Pipe, *safe) {
	t.Helper()
	log := &safe{}
	opt.Command = childCommand(t, mode)
	opt.Logger = slog.New(slog.NewTextHandler(log, nil))
	if opt.Stderr == nil {
		opt.Stderr = io.Discard
	}
	p, err := NewPipe(opt)
	if err != nil {
		t.Fatal(err)
	}
	p.restart = time.Millisecond
	return p, log
}

func closeHandler(t testing.TB, h worker.Handler) {
	t.Helper()
	if err := h.(io.Closer).Close(); err != nil {
		t.Error(err)
	}
}

// give has h do one task; it panics if h has to be let in and there is no place.
func give(ctx context.Context, h worker.Handler, body string, attempt int) (string, error) {
	if h, ok := h.(*pipeHandler); ok && h.p.windows != nil {
		if ok, _ := (gate{h.p}).Enter(slices.Index(h.p.handlers, h)); !ok {
			panic("no child has room for another line")
		}
	}
	var r worker.Reply
	l := glassq.Lease{Task: glassq.Task{Queue: "tasks", Body: []byte(body), Type: glassq.TypeText}, Number: 7,
		Attempt: attempt}
	err := h.Handle(ctx, &l, &r)
	return string(r.Body), err
}

func TestPipeAnswers(t *testing.T) {
	t.Run("one line at a time", func(t *testing.T) { testAnswers(t, 1) })
	t.Run("adaptive", func(t *testing.T) { testAnswers(t, 0) })
}

func testAnswers(t *testing.T, window int) {
	p, log := newPipe(t, PipeOptions{Worker: "w", Window: window}, "normal")
	h := p.Handler(0)
	defer closeHandler(t, h)
	tests := []struct{ name, body, want, err, log string }{
		{"least", "ok hello", `"o":{"ok":1,"rt":0.5,"said":"hello","t":`, "", ""},
		{"input filled in", "ok x", `{"i":"ok x","o":`, "", ""},
		{"failed, with its own input", "fail", `{"i":"mine","o":{"ok":0,"rt":`, "", ""},
		{"blank lines are nothing", "say \n\n{\"o\":{}}", `"o":{"ok":1,"rt":`, "", ""},
		{"long", "bytes 300000", `xxxx","rt":`, "", ""},
		{"nack", `say {"nack":{"delay":"5s","reason":"busy"}}`, "", "busy delay 5s dead false", ""},
		{"nack in seconds", `say {"nack":{"delay":0.5,"dead":true}}`, "", "given back delay 500ms dead true", ""},
		{"nack without more", `say {"nack":{}}`, "", "given back delay 0s dead false", ""},
		{"still the same child", "ok again", `"said":"again"`, "", ""},
		{"garbage", "say hello world", "", `neither a result nor a nack (it is not one JSON object): "hello world" delay 0s dead false`, "hello world"},
		{"JSON of another kind", `say {"ok":1}`, "", `neither an object "o" nor an object "nack"`, "object"},
		{"nack with a hold", `say {"nack":{"undone":true,"hold":"1m","reason":"429"}}`, "", "429 delay 0s dead false hold 1m0s", ""},
		{"nack with another member", `say {"nack":{"dely":"5s"}}`, "", `its nack does not parse: json: unknown field "dely"`, "dely"},
		{"a hold of two hours", `say {"nack":{"hold":"2h"}}`, "", `its hold "2h" is neither a duration like "5s" nor a number of seconds, up to 1h0m0s`, "hold"},
		{"both at once", `say {"nack":{"dead":true,"undone":true}}`, "", "its nack is both dead and undone", "both"},
		{"bad delay", `say {"nack":{"delay":"soon"}}`, "", `delay "soon" is neither`, "soon"},
		{"not UTF-8", "latin1", "", "it is not UTF-8", "not UTF-8"},
		{"ends", "exit 3", "", "the child ended (exit status 3) delay 0s dead false", "exit status 3"},
		{"ends well", "exit 0", "", "the child ended (exit status 0)", "exit status 0"},
		{"ends in the middle", "half", "", `in the middle of a line: "{\"o\":{\"ok\":1"`, "middle"},
		{"another has taken its place", "ok there", `"said":"there"`, "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before := len(log.String())
			got, err := give(t.Context(), h, tt.body, 1)
			text := ""
			if nack, ok := errors.AsType[*worker.NackError](err); ok {
				text = fmt.Sprintf("%v delay %v dead %v hold %v", nack, nack.Delay, nack.Dead, nack.Hold)
			} else if err != nil {
				t.Fatalf("Handle(%s) = %v, want a NackError", tt.body, err)
			}
			if tt.err == "" && text != "" || !strings.Contains(text, tt.err) || !strings.Contains(got, tt.want) {
				t.Errorf("Handle(%s) = %.200s, %s; want %s, %s", tt.body, got, text, tt.want, tt.err)
			}
			if said := log.String()[before:]; !strings.Contains(said, tt.log) || tt.log == "" && said != "" {
				t.Errorf("log said %q, want %q", said, tt.log)
			}
		})
	}
}

func TestPipeTimeout(t *testing.T) {
	p, _ := newPipe(t, PipeOptions{Timeout: 50 * time.Millisecond}, "normal")
	h := p.Handler(0)
	defer closeHandler(t, h)
	got, err := give(t.Context(), h, "hang", 1)
	if err != nil || !strings.Contains(got, `"err":"timeout","msg":"no answer within 50ms"`) {
		t.Errorf("Handle(hang) = %s, %v; want a time-out", got, err)
	}
	p.opt.Retries = 1
	if got, err := give(t.Context(), h, "hang", 1); err == nil || !strings.Contains(err.Error(), "no answer within") {
		t.Errorf("Handle(hang), first of two tries = %s, %v; want a nack", got, err)
	}
	if got, err := give(t.Context(), h, "hang", 2); err != nil || !strings.Contains(got, `"err":"timeout"`) {
		t.Errorf("Handle(hang), second of two tries = %s, %v; want a result", got, err)
	}
	if _, err := give(t.Context(), h, "fail", 1); err == nil {
		t.Error("a failed first try of two is not given back")
	}
}

// Window handlers share a child: the answers come in the order of the lines, the child's end gives
// all of them back, and only the one that it was at counts an attempt.
func TestPipeWindow(t *testing.T) {
	const window = 8
	p, _ := newPipe(t, PipeOptions{Window: window}, "normal")
	handlers := make([]worker.Handler, window)
	for i := range handlers {
		handlers[i] = p.Handler(i)
	}
	defer func() {
		var wg sync.WaitGroup
		for _, h := range handlers {
			wg.Go(func() { closeHandler(t, h) })
		}
		wg.Wait()
	}()
	var wg sync.WaitGroup
	for i, h := range handlers {
		wg.Go(func() {
			for k := range 200 {
				want := fmt.Sprintf("%d-%d", i, k)
				got, err := give(t.Context(), h, "ok "+want, 1)
				if err != nil || !strings.Contains(got, `"said":"`+want+`"`) {
					t.Errorf("Handle(ok %s) = %s, %v", want, got, err)
					return
				}
			}
		})
	}
	wg.Wait()

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	results := make(chan error, window)
	give(ctx, handlers[0], "ok", 1)
	proc := p.children[0].proc
	for i, h := range handlers {
		wg.Go(func() {
			_, err := give(ctx, h, "hang", 1)
			results <- err
		})
		for waiting := 0; waiting < i+1; { // all lines are out, in this order
			proc.mu.Lock()
			waiting = len(proc.waiting)
			proc.mu.Unlock()
		}
	}
	proc.cmd.Process.Kill()
	wg.Wait()
	undone := 0
	for range window {
		nack, ok := errors.AsType[*worker.NackError](<-results)
		if !ok {
			t.Fatal("a task of a killed child is not given back")
		}
		if nack.Undone {
			undone++
		}
	}
	if undone != window-1 {
		t.Errorf("%d of %d tasks given back without counting the attempt, want all but the first", undone, window)
	}
}

// A lease that is lost, or a worker that stops, leaves the child; its late answer is nobody's.
func TestPipeAbandon(t *testing.T) {
	p, _ := newPipe(t, PipeOptions{Window: 1}, "normal")
	h := p.Handler(0)
	defer closeHandler(t, h)
	if _, err := give(t.Context(), h, "ok", 1); err != nil {
		t.Fatal(err)
	}
	proc := p.children[0].proc
	proc.mu.Lock() // so that the answer cannot be taken before the end of ctx
	ctx, cancel := context.WithCancel(t.Context())
	errs := make(chan error)
	go func() {
		_, err := give(ctx, h, "ok late", 1)
		errs <- err
	}()
	cancel()
	proc.mu.Unlock()
	if err := <-errs; err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("Handle with its context ended = %v", err)
	}
	got, err := give(t.Context(), h, "ok next", 1)
	if err != nil || !strings.Contains(got, `"said":"next"`) {
		t.Errorf("Handle after an abandoned task = %s, %v; want its own answer", got, err)
	}
}

// A child that does not read: a large line ends with the context, not with the child.
func TestPipeNotReading(t *testing.T) {
	p, _ := newPipe(t, PipeOptions{Window: 1}, "normal")
	h := p.Handler(0)
	defer closeHandler(t, h)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	first := make(chan error)
	go func() {
		_, err := give(ctx, h, "hang", 1)
		first <- err
	}()
	for p.children[0].busy() == 0 {
	}
	cancel()
	<-first
	ctx, cancel = context.WithCancel(t.Context())
	second := make(chan error)
	go func() {
		_, err := give(ctx, h, "ok "+strings.Repeat("x", 1<<20), 1)
		second <- err
	}()
	for p.children[0].busy() < 2 {
	}
	cancel()
	if err := <-second; err == nil {
		t.Error("a line that nobody reads was answered")
	}
}

func (c *child) busy() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.proc == nil {
		return 0
	}
	c.proc.mu.Lock()
	defer c.proc.mu.Unlock()
	return len(c.proc.waiting)
}

// A command that never works ends the worker with a sentence; no task is lost by it.
func TestPipeFruitless(t *testing.T) {
	for mode, want := range map[string]string{"dead": "exit status 3", "banner": `"ready!"`, "closed": "ended"} {
		t.Run(mode, func(t *testing.T) {
			failed := make(chan error, 1)
			p, _ := newPipe(t, PipeOptions{Failed: func(err error) { failed <- err }}, mode)
			h := p.Handler(0)
			defer closeHandler(t, h)
			ctx, cancel := context.WithCancel(t.Context())
			var reason error
			go func() {
				reason = <-failed
				cancel()
			}()
			for ctx.Err() == nil {
				if got, err := give(ctx, h, "ok", 1); err == nil {
					t.Fatalf("answered with %s", got)
				}
			}
			if !strings.Contains(reason.Error(), want) {
				t.Errorf("Failed(%v), want %s", reason, want)
			}
		})
	}
}

func TestPipeStderr(t *testing.T) {
	errs := &safe{}
	p, _ := newPipe(t, PipeOptions{Stderr: errs}, "normal")
	h := p.Handler(0)
	give(t.Context(), h, "stderr", 1)
	closeHandler(t, h)
	if got, want := errs.String(), "[1] a line\n[1] half a lineinput ended\n"; got != want {
		t.Errorf("standard error came through as %q, want %q", got, want)
	}
}

func TestPipeKill(t *testing.T) {
	p, _ := newPipe(t, PipeOptions{Window: 1}, "normal")
	h := p.Handler(0)
	defer closeHandler(t, h)
	errs := make(chan error)
	go func() {
		_, err := give(t.Context(), h, "hang", 1)
		errs <- err
	}()
	for p.children[0].busy() == 0 {
	}
	p.Kill()
	if nack, ok := errors.AsType[*worker.NackError](<-errs); !ok || !nack.Undone {
		t.Errorf("a task of children that are ended = %v, want undone", nack)
	}
	if _, err := give(t.Context(), h, "ok", 1); err == nil {
		t.Error("a child was started after Kill")
	}
}

func TestPipeOptions(t *testing.T) {
	for _, opt := range []PipeOptions{
		{}, {Command: []string{"no-such-command-anywhere"}}, {Command: []string{os.Args[0]}, Window: -1},
		{Command: []string{os.Args[0]}, Children: 10_000, Window: 11}, {Command: []string{os.Args[0]}, Timeout: -1},
	} {
		if _, err := NewPipe(opt); err == nil {
			t.Errorf("NewPipe(%+v) is fine, want an error", opt)
		}
	}
}

// What a child has answered before a line could not be written any more is done.
func TestPipeAnswersBeforeTheEnd(t *testing.T) {
	a := &asked{done: make(chan struct{}, 1)}
	p := &proc{c: &child{p: &Pipe{}}, waiting: []*asked{a}, broken: errNotReading}
	if err := p.answer([]byte(`{"o":{"ok":1}}`)); err != nil || len(a.done) != 1 || len(p.waiting) != 0 {
		t.Errorf("an answer of a child that does not read any more: %v, %d told, %d waiting; want it taken", err,
			len(a.done), len(p.waiting))
	}
	p = &proc{c: &child{p: &Pipe{}}, waiting: []*asked{a}, broken: errKilled}
	if err := p.answer([]byte(`{"o":{"ok":1}}`)); err != errKilled {
		t.Errorf("an answer of a child that is ended: %v, want it dropped", err)
	}
}
