package check

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/schema"
	"github.com/glassq/glassq/spec"
)

// A testCase is one thing that a worker must get right.
type testCase struct {
	name, what string
	not        []string // doors that it cannot be asked of
	do         func(*lab) error
}

// What a case needs of a worker with a format of its own, beside a task that goes well.
var (
	needsForm = []string{"unicode", "empty-body", "large-body", "json", "big-integers", "octets", "malformed-task"}
	needsSlow = []string{"slow-task", "lease-lost", "sigterm"}
)

func (c *testCase) allows(door string, own *Format) bool {
	if own != nil && (slices.Contains(needsForm, c.name) || own.Slow == "" && slices.Contains(needsSlow, c.name) ||
		own.Failing == "" && c.name == "failing-task") {
		return false
	}
	return !slices.Contains(c.not, door)
}

// traceparent is an example of the W3C trace context recommendation.
const traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

var cases = []testCase{
	{"echo", "a text task gets one result, with the text in i", nil, func(l *lab) error {
		if err := l.put("http://localhost:8888/?q=7", "two words", "123"); err != nil {
			return err
		}
		return errors.Join(l.results(glassq.OK), l.once())
	}},
	{"unicode", "text of all planes, quotes, backslashes and line breaks comes back as it was", nil, func(l *lab) error {
		if err := l.put("käse 値 \U0001F9C0 e\u0301", "\"quoted\" \\back\\ \ttab\r\nline\u2028sep",
			"\u0001\u007f\ufeff"); err != nil {
			return err
		}
		return l.results(glassq.OK)
	}},
	{"empty-body", "an empty text is a task like any other", nil, one(func() any { return "" })},
	{"large-body", "a text of 1 MB comes back whole", nil,
		one(func() any { return strings.Repeat("0123456789abcdef", 1<<16) })},
	{"json", "a JSON body comes back as the same JSON", nil, one(func() any {
		return json.RawMessage(`{"url":"http://localhost/","list":[1,2.5,null,true,"x"],"nested":{"a":{"b":[]}}}`)
	})},
	{"big-integers", "integers beyond 2^53 are not rounded", nil, one(func() any {
		return json.RawMessage(`{"n":9007199254740993,"m":[12345678901234567890,-9223372036854775808]}`)
	})},
	{"octets", "a body of bytes that are no text gets a result", []string{DoorManager},
		one(func() any { return []byte{0, 0xff, 0xfe, '\r', '\n', 0x80} })},
	{"unknown-members", "members of the task that the worker does not know do no harm",
		[]string{DoorMemcache, DoorManager}, one(func() any {
			return glassq.Task{Body: []byte("x"), Type: glassq.TypeText,
				Extra: []byte(`{"from":"the future","deep":{"body":1,"token":"2.x"}}`)}
		})},
	{"failing-task", "a task that fails gets a result with o.ok 0", nil, func(l *lab) error {
		if err := l.put(json.RawMessage(`{"fail":true}`)); err != nil {
			return err
		}
		return errors.Join(l.results(glassq.Failed), l.once(), l.alive())
	}},
	{"malformed-task", "a task that makes no sense gets a failed result, and the worker goes on", nil, func(l *lab) error {
		if err := l.put(json.RawMessage(`{"sleep":"soon"}`)); err != nil {
			return err
		}
		return errors.Join(l.results(glassq.Failed), l.alive())
	}},
	{"slow-task", "a task of 3 s with a lease of 2 s is done at the first hand-out: the lease is extended, or long enough", nil, func(l *lab) error {
		if err := l.put(glassq.Task{Body: []byte(`{"sleep":3}`), Type: glassq.TypeJSON, Lease: 2 * time.Second}); err != nil {
			return err
		}
		return errors.Join(l.results(glassq.OK), l.once())
	}},
	{"lease-lost", "a lease is taken away in mid-task: the late result is dropped, the task done again, the worker goes on", []string{DoorManager}, leaseLost},
	{"second-delivery", "a task that somebody had before gets one result", nil, secondDelivery},
	{"lost-answer", "an accepted ack whose answer is lost leaves one result, and the worker goes on",
		[]string{DoorManager}, lostAnswer},
	{"idle", "an empty queue is waited on, not polled", nil, idle},
	{"traceparent", "a result is of the trace that its task names: the worker sends no traceparent, or one of that trace",
		[]string{DoorMemcache, DoorManager}, traced},
	{"burst", "10,000 tasks get 10,000 results", nil, func(l *lab) error {
		bodies := make([]any, 10_000)
		for i := range bodies {
			bodies[i] = fmt.Sprintf("http://localhost:8888/?q=%d", i)
		}
		if err := l.put(bodies...); err != nil {
			return err
		}
		return l.results(glassq.OK)
	}},
	{"sigterm", "SIGTERM in mid-task ends the worker within 10 s, and nothing is lost", nil, sigterm},
	{"server-restart", "the server goes away and comes back: the worker goes on", []string{DoorManager}, restart},
}

// one is a case of a single task that succeeds.
func one(task func() any) func(*lab) error {
	return func(l *lab) error {
		if err := l.put(task()); err != nil {
			return err
		}
		return l.results(glassq.OK)
	}
}

func leaseLost(l *lab) error {
	if err := l.put(json.RawMessage(`{"sleep":1}`)); err != nil {
		return err
	}
	var number uint64
	err := l.until("the hand-out", func(events []event) bool {
		for _, e := range events {
			if e.kind == reserved {
				number = e.number
				return true
			}
		}
		return false
	})
	if err != nil {
		return err
	}
	if number == 0 {
		return errors.New("the task was taken without a lease: a worker that dies loses it")
	}
	if _, err := l.spy.store().Nack(l.ctx, []glassq.Nack{{Token: glassq.Token{Queue: glassq.DefaultQueue,
		Number: number}, Delay: glassq.AtOnce}}); err != nil {
		return err
	}
	return errors.Join(l.results(glassq.OK), l.alive())
}

func secondDelivery(l *lab) error {
	hidden := false
	l.spy.mu.Lock()
	l.spy.skip = func(*glassq.Lease) bool {
		first := !hidden
		hidden = true
		return first
	}
	l.spy.mu.Unlock()
	if err := l.put("handed out before"); err != nil {
		return err
	}
	return errors.Join(l.results(glassq.OK), l.once())
}

func lostAnswer(l *lab) error {
	lied := false
	l.spy.mu.Lock()
	l.spy.trick = func(e *event) error {
		if lied || e.err != nil {
			return nil
		}
		lied = true
		return glassq.Errorf(glassq.CodeUnavailable, "the answer to this ack was lost on the way; it may be repeated")
	}
	l.spy.mu.Unlock()
	if err := l.put("acked, and nobody heard"); err != nil {
		return err
	}
	return errors.Join(l.results(glassq.OK), l.alive())
}

const (
	idleTime  = 2 * time.Second
	idleTries = 40 // reserves in idleTime that are still no polling: a few connections, each of which waits 250 ms
)

func idle(l *lab) error {
	if err := l.put("warm up"); err != nil {
		return err
	}
	if err := l.results(glassq.OK); err != nil {
		return err
	}
	l.spy.reset()
	l.tasks = nil
	t := time.NewTimer(idleTime)
	defer t.Stop()
	select {
	case <-t.C:
	case <-l.ctx.Done():
		return l.ctx.Err()
	}
	l.spy.mu.Lock()
	n := l.spy.reserves
	l.spy.mu.Unlock()
	if n > idleTries {
		return fmt.Errorf("%d reserves in %v on an empty queue: wait in the reserve instead of polling", n, idleTime)
	}
	return l.alive()
}

func traced(l *lab) error {
	if err := l.put(glassq.Task{Body: []byte("x"), Type: glassq.TypeText,
		Headers: map[string]string{"traceparent": traceparent}}); err != nil {
		return err
	}
	acks, err := l.done()
	if err != nil {
		return err
	}
	r := acks[l.tasks[0].ID].result
	if r == nil {
		return errors.New("the task was acked without a result")
	}
	// The queue hands the trace on where the worker says none; a worker may name a span of its own
	// in it.
	if got := r.Headers["traceparent"]; got != "" && !strings.HasPrefix(got, traceparent[:36]) {
		return fmt.Errorf("the result's headers have traceparent %q, which is not of the task's trace, %q", got, traceparent)
	}
	return nil
}

func sigterm(l *lab) error {
	bodies := []any{json.RawMessage(`{"sleep":1}`)}
	for i := range 20 {
		bodies = append(bodies, fmt.Sprint("task ", i))
	}
	if err := l.put(bodies...); err != nil {
		return err
	}
	err := l.until("the hand-out of the slow task", func(events []event) bool {
		return slices.ContainsFunc(events, func(e event) bool { return e.kind == reserved && e.id == l.tasks[0].ID })
	})
	if err != nil {
		return err
	}
	if err := l.worker.terminate(); err != nil {
		return err
	}
	if err := l.ensureWorker(); err != nil {
		return err
	}
	// Tasks that the first worker still holds come back when their leases run out.
	patience := l.opt.Patience
	l.opt.Patience = max(patience, glassq.DefaultLease+5*time.Second)
	defer func() { l.opt.Patience = patience }()
	return l.results(glassq.OK)
}

func restart(l *lab) error {
	if err := l.put("before the restart"); err != nil {
		return err
	}
	if err := l.results(glassq.OK); err != nil {
		return err
	}
	if err := l.rig.Stop(); err != nil {
		l.broken = err
		return err
	}
	if err := l.rig.Start(l.spy.watch); err != nil {
		l.broken = err
		return err
	}
	return l.alive()
}

// resultSchema checks a result record against the schema of the documents.
var resultSchema = sync.OnceValue(func() func([]byte) error {
	text, _ := spec.Schema("result")
	check, err := schema.Compile(string(text))
	if err != nil {
		panic("check: " + err.Error()) // embedded, and held to its samples
	}
	return check
})
