package check

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/glassq/glassq"
)

// A lab is what a case works with: the spy, the worker's process, and the tasks it has put.
type lab struct {
	opt    Options
	rig    Rig
	spy    *spy
	ctx    context.Context // of the case under way
	name   string          // of the case under way
	tasks  []glassq.Task   // put by the case under way
	puts   int             // tasks of the worker's own format so far
	worker *process
	broken error // the kit cannot go on
}

// A process is the worker under test.
type process struct {
	cmd   *exec.Cmd
	ended chan struct{} // closed when err is set
	err   error
}

const stopTime = 10 * time.Second

// ensureWorker starts the worker unless it runs.
func (l *lab) ensureWorker() error {
	if l.worker != nil {
		select {
		case <-l.worker.ended:
		default:
			return nil
		}
	}
	cmd := exec.Command(l.opt.Command[0], l.opt.Command[1:]...)
	cmd.Env = append(os.Environ(), l.rig.Env()...)
	cmd.Stdout, cmd.Stderr = l.opt.Output, l.opt.Output
	cmd.WaitDelay = time.Second // a grandchild may hold the output open
	ownGroup(cmd)
	if err := cmd.Start(); err != nil {
		l.broken = fmt.Errorf("start the worker: %w", err)
		return l.broken
	}
	p := &process{cmd: cmd, ended: make(chan struct{})}
	go func() { // stopWorker waits for it
		p.err = cmd.Wait()
		close(p.ended)
	}()
	l.worker = p
	return nil
}

// terminate sends SIGTERM and waits for the end; then the worker's group is killed.
func (p *process) terminate() error {
	select {
	case <-p.ended:
		return nil
	default:
	}
	interrupt(p.cmd)
	t := time.NewTimer(stopTime)
	defer t.Stop()
	select {
	case <-p.ended:
		killGroup(p.cmd)
		return nil
	case <-t.C:
		killGroup(p.cmd)
		<-p.ended
		return fmt.Errorf("the worker did not end within %v of SIGTERM, it was killed", stopTime)
	}
}

func (l *lab) stopWorker() {
	if l.worker != nil {
		l.worker.terminate()
		l.worker = nil
	}
}

// workerEnded says how the worker ended, or nothing while it runs.
func (l *lab) workerEnded() string {
	if l.worker == nil {
		return ""
	}
	select {
	case <-l.worker.ended:
		if l.worker.err == nil {
			return "the worker has ended, with status 0"
		}
		return "the worker has ended: " + l.worker.err.Error()
	default:
		return ""
	}
}

// put puts bodies as tasks of the case; text is text, bytes are octets, json.RawMessage is JSON.
func (l *lab) put(bodies ...any) error {
	var tasks []glassq.Task
	for _, b := range bodies {
		t := glassq.Task{}
		switch b := b.(type) {
		case string:
			t.Body, t.Type = []byte(b), glassq.TypeText
		case json.RawMessage:
			t.Body, t.Type = b, glassq.TypeJSON
		case []byte:
			t.Body, t.Type = b, glassq.TypeOctets
		case glassq.Task:
			t = b
		}
		if own := l.opt.Own; own != nil {
			own.fill(&t, l.puts)
			l.puts++
		}
		t.Queue, t.ID = glassq.DefaultQueue, fmt.Sprintf("%s-%d", l.name, len(l.tasks)+len(tasks))
		tasks = append(tasks, t)
	}
	for at := 0; at < len(tasks); at += glassq.MaxBatch {
		if _, err := l.spy.store().Put(l.ctx, tasks[at:min(at+glassq.MaxBatch, len(tasks))]); err != nil {
			l.broken = fmt.Errorf("put: %w", err)
			return l.broken
		}
	}
	l.tasks = append(l.tasks, tasks...)
	return nil
}

// fill gives a task of the kit a body of the worker's format, of the kind that it had.
func (f *Format) fill(t *glassq.Task, n int) {
	text := f.Body
	switch {
	case bytes.HasPrefix(t.Body, []byte(`{"sleep":`)):
		text = f.Slow
	case bytes.HasPrefix(t.Body, []byte(`{"fail":`)):
		text = f.Failing
	}
	t.Body, t.Type = []byte(strings.ReplaceAll(text, "{n}", strconv.Itoa(n))), glassq.TypeText
	if json.Valid(t.Body) {
		t.Type = glassq.TypeJSON
	}
}

// until waits until cond is true of the notes, which it is called with under the spy's lock; what
// says what is waited for. As long as tasks are being done it goes on: how fast a worker is, is not
// asked.
func (l *lab) until(what string, cond func(events []event) bool) error {
	t := time.NewTimer(l.opt.Patience)
	defer t.Stop()
	var ended <-chan struct{}
	if l.worker != nil {
		ended = l.worker.ended
	}
	done := 0
	for {
		l.spy.mu.Lock()
		ok, changed := cond(l.spy.events), l.spy.changed
		n := len(l.spy.accepted)
		l.spy.mu.Unlock()
		if ok {
			return nil
		}
		if n > done {
			done = n
			t.Reset(l.opt.Patience)
		}
		select {
		case <-changed:
		case <-ended:
			return fmt.Errorf("waited for %s%s", what, l.stand())
		case <-t.C:
			return fmt.Errorf("waited %v for %s%s", l.opt.Patience, what, l.stand())
		case <-l.ctx.Done():
			return context.Cause(l.ctx)
		}
	}
}

// stand tells in a few words how far the case has come.
func (l *lab) stand() string {
	handed, accepted, refused := 0, 0, 0
	var first error
	for _, e := range l.notes() {
		switch {
		case e.kind == reserved:
			handed++
		case e.kind == acked && e.err == nil:
			accepted++
		case e.kind == acked:
			refused++
			first = e.err
		}
	}
	s := fmt.Sprintf(": %d tasks put, %d hand-outs, %d acks accepted", len(l.tasks), handed, accepted)
	if refused > 0 {
		s += fmt.Sprintf(", %d refused (%v)", refused, first)
	}
	return s
}

func (l *lab) notes() []event {
	l.spy.mu.Lock()
	defer l.spy.mu.Unlock()
	return append([]event(nil), l.spy.events...)
}

// done waits for an accepted ack of every task, and returns the acks by task id.
func (l *lab) done() (map[string]event, error) {
	err := l.until("a result of every task", func([]event) bool {
		if len(l.spy.accepted) < len(l.tasks) {
			return false
		}
		return !slices.ContainsFunc(l.tasks, func(t glassq.Task) bool { return !l.spy.accepted[t.ID] })
	})
	acks := map[string]event{}
	puts := 0
	for _, e := range l.notes() {
		switch {
		case e.kind == put:
			puts++
		case e.kind == acked && e.err == nil && e.result != nil:
			acks[e.id] = e
		case e.kind == acked && e.err == nil:
			if _, ok := acks[e.id]; !ok {
				acks[e.id] = e
			}
		}
	}
	switch {
	case err != nil && puts > 0:
		return nil, fmt.Errorf("%w; %d results were put without the lease they belong to", err, puts)
	case err != nil:
		return nil, err
	}
	return acks, nil
}

// results waits for all tasks and checks each result: it is a record of the right form, echoes its
// task, and has the outcome wanted.
func (l *lab) results(want glassq.Outcome) error {
	acks, err := l.done()
	if err != nil {
		return err
	}
	for i := range l.tasks {
		if err := l.record(&l.tasks[i], acks[l.tasks[i].ID], want); err != nil {
			return fmt.Errorf("task %s: %w", l.tasks[i].ID, err)
		}
	}
	return nil
}

// once demands that no task was handed out twice.
func (l *lab) once() error {
	n := map[string]int{}
	for _, e := range l.notes() {
		if e.kind == reserved {
			n[e.id]++
		}
		if n[e.id] > 1 {
			return fmt.Errorf("task %s was handed out twice: its lease ran out, or it was given back", e.id)
		}
	}
	return nil
}

// record checks one result.
func (l *lab) record(t *glassq.Task, e event, want glassq.Outcome) error {
	own := l.opt.Own
	if own != nil && own.Success != nil && e.result != nil {
		if e.outcome = glassq.Failed; own.Success.Match(e.result.Body) {
			e.outcome = glassq.OK
		}
	}
	switch {
	case e.result == nil:
		return errors.New("it was acked without a result")
	case e.outcome != want && want == glassq.Failed:
		return fmt.Errorf("it was to fail, but its result says ok: %.200s", e.result.Body)
	case e.outcome != want:
		return fmt.Errorf("it was to succeed, but its result says failed: %.200s", e.result.Body)
	case own != nil && own.Success != nil:
		return nil
	}
	if err := resultSchema()(e.result.Body); err != nil {
		return fmt.Errorf("its result is not a result record: %w: %.200s", err, e.result.Body)
	}
	if own != nil {
		return nil
	}
	var r struct {
		I   json.RawMessage
		B64 *string
	}
	if err := json.Unmarshal(e.result.Body, &r); err != nil {
		return fmt.Errorf("its result: %w", err)
	}
	if r.B64 != nil {
		if b, err := base64.StdEncoding.DecodeString(*r.B64); err != nil || !bytes.Equal(b, t.Body) {
			return errors.New("b64 of its result is not its body")
		}
		return nil
	}
	return l.echo(t, r.I)
}

// echo compares i with the task's body. JSON may be left out, for languages whose reader rounds
// numbers, and bytes that are no text must be in b64 or left out.
func (l *lab) echo(t *glassq.Task, i json.RawMessage) error {
	if t.Type == glassq.TypeOctets {
		if i != nil {
			return errors.New("its body is bytes, which i cannot hold: send b64, or leave both out")
		}
		return nil
	}
	if t.Type == glassq.TypeText {
		var s *string
		if err := json.Unmarshal(i, &s); i == nil || err != nil || s == nil {
			return fmt.Errorf("i of its result is %.100s, want the body as a string", i)
		} else if *s != string(t.Body) {
			return fmt.Errorf("i of its result is not its body: %s", difference(string(t.Body), *s))
		}
		return nil
	}
	if i == nil {
		return nil
	}
	if got, want := exact(i), exact(t.Body); !reflect.DeepEqual(got, want) {
		return fmt.Errorf("i of its result is %.200s, want %.200s (leave it out rather than round it)", i, t.Body)
	}
	return nil
}

// difference shows where two texts part.
func difference(want, got string) string {
	n := 0
	for n < len(want) && n < len(got) && want[n] == got[n] {
		n++
	}
	return fmt.Sprintf("%d bytes instead of %d, different from byte %d on: %q instead of %q", len(got), len(want), n,
		got[n:min(n+20, len(got))], want[n:min(n+20, len(want))])
}

// exact reads JSON with its numbers as they are written.
func exact(text []byte) (v any) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		return err
	}
	return untag(v)
}

// untag turns the tagged integers of the manager door, which are exact too, into numbers.
func untag(v any) any {
	switch v := v.(type) {
	case []any:
		for i := range v {
			v[i] = untag(v[i])
		}
	case map[string]any:
		if n, ok := v["v"].(string); ok && v["$py"] == "int" {
			return json.Number(n)
		}
		for k := range v {
			v[k] = untag(v[k])
		}
	}
	return v
}

// alive shows that the worker still works.
func (l *lab) alive() error {
	l.spy.reset()
	l.tasks, l.name = nil, l.name+"-after"
	if err := l.put("still there?"); err != nil {
		return err
	}
	if err := l.results(glassq.OK); err != nil {
		return fmt.Errorf("the worker does not go on after it: %w", err)
	}
	return nil
}

// clear takes what a case has left in the queues.
func (l *lab) clear() error {
	s := l.spy.store()
	var errs []error
	for _, q := range []string{glassq.DefaultQueue, glassq.DefaultResults} {
		_, err := s.Purge(l.ctx, q, glassq.Delayed, glassq.Ready, glassq.Dead)
		if err != nil && !errors.Is(err, glassq.ErrNotFound) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
