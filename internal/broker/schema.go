package broker

import (
	"context"
	"maps"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/jsonline"
)

// A SchemaCompiler makes the check of bodies against a JSON Schema. A check is given a JSON text;
// its error names the path of the fault.
type SchemaCompiler func(text string) (check func(body []byte) error, err error)

// checks are what the schemas of one queue demand; nil demands nothing.
type checks struct {
	task, result         func(body []byte) error
	taskText, resultText glassq.Schema // what they were compiled from
}

// NewWithSchemas is New of a broker whose queues may have schemas, compiled by compile. It takes up
// those that queues have already.
//
// The error, code bad_request, says that a stored schema does not compile; or it is the store's.
func NewWithSchemas(ctx context.Context, s glassq.Store, lim glassq.Limits, compile SchemaCompiler) (*Broker, error) {
	b := New(s, lim)
	b.compile = compile
	queues, err := s.Queues(ctx)
	if err != nil {
		return nil, err
	}
	for _, q := range queues {
		if err := b.setSchemas(q.Name, q.Settings); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// compileSchemas makes the checks of settings, nil when they have no schema.
func (b *Broker) compileSchemas(queue string, s glassq.Settings) (*checks, error) {
	if s.TaskSchema == "" && s.ResultSchema == "" {
		return nil, nil
	}
	if b.compile == nil {
		return nil, glassq.Errorf(glassq.CodeUnsupported,
			"this program checks no schemas; leave task_schema and result_schema out")
	}
	c := checks{taskText: s.TaskSchema, resultText: s.ResultSchema}
	for _, x := range []struct {
		what string
		text glassq.Schema
		to   *func([]byte) error
	}{{"task_schema", s.TaskSchema, &c.task}, {"result_schema", s.ResultSchema, &c.result}} {
		if x.text == "" {
			continue
		}
		check, err := b.compile(string(x.text))
		if err != nil {
			return nil, glassq.Errorf(glassq.CodeBadRequest, "%s of queue %s: %w", x.what, queue, err)
		}
		*x.to = check
	}
	return &c, nil
}

// setSchemas remembers what the settings of a queue demand from now on.
func (b *Broker) setSchemas(queue string, s glassq.Settings) error {
	if c := b.checksOf(queue); c != nil && c.taskText == s.TaskSchema && c.resultText == s.ResultSchema {
		return nil
	}
	c, err := b.compileSchemas(queue, s)
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	old := b.schemas.Load()
	if c == nil && (old == nil || (*old)[queue] == nil) {
		return nil
	}
	next := map[string]*checks{}
	if old != nil {
		next = maps.Clone(*old)
	}
	if next[queue] = c; c == nil {
		delete(next, queue)
	}
	if len(next) == 0 {
		b.schemas.Store(nil)
	} else {
		b.schemas.Store(&next)
	}
	return nil
}

// checksOf returns what a queue's schemas demand, or nil.
func (b *Broker) checksOf(queue string) *checks {
	m := b.schemas.Load()
	if m == nil {
		return nil
	}
	return (*m)[queue]
}

func sizeOfAck(a *glassq.Ack) int {
	n := BytesOf(a.Put...)
	if a.Result != nil {
		n += BytesOf(*a.Result)
	}
	return n
}

// ackChecked acks, and repeats those acks whose results the engine wants checked against another
// schema.
func (b *Broker) ackChecked(ctx context.Context, acks []glassq.Ack) ([]error, error) {
	errs, err := inParts(acks, sizeOfAck, func(some []glassq.Ack) ([]error, error) { return b.store.Ack(ctx, some) })
	var again []glassq.Ack
	var at []int // where each of again is in acks
	for i, e := range errs {
		u, unchecked := e.(*glassq.UncheckedError)
		if !unchecked {
			continue
		}
		if errs[i] = b.checkAgain(ctx, &acks[i], u); errs[i] == nil {
			again, at = append(again, acks[i]), append(at, i)
		}
	}
	if err != nil || len(again) == 0 {
		return errs, err
	}
	answers, err := b.ackChecked(ctx, again) // once more for each change of a schema meanwhile
	if err != nil {
		return nil, err
	}
	for k, i := range at {
		errs[i] = answers[k]
	}
	return errs, nil
}

// checkResult holds the result of a to the schema that its queue has as far as the broker knows,
// and notes which one that is. A schema that refuses it is looked up first: it may be an old one.
func (b *Broker) checkResult(ctx context.Context, a *glassq.Ack, queue string) error {
	c := b.checksOf(queue)
	err := c.agreesResult(a, queue)
	if err == nil {
		return nil
	}
	now, lookErr := b.refresh(ctx, queue)
	if lookErr != nil {
		return lookErr
	}
	if now != c {
		err = now.agreesResult(a, queue)
	}
	return err
}

// checkAgain is checkResult of an ack that the engine did not take.
func (b *Broker) checkAgain(ctx context.Context, a *glassq.Ack, u *glassq.UncheckedError) error {
	if err := ctx.Err(); err != nil { // checks take time: they end with the request
		return err
	}
	if c := b.checksOf(u.Queue); c.resultSchema() != u.Schema { // somebody else has changed it
		if _, err := b.refresh(ctx, u.Queue); err != nil {
			return err
		}
	}
	return b.checkResult(ctx, a, u.Queue)
}

// refresh has the schemas of a queue follow its settings as they are in the engine.
func (b *Broker) refresh(ctx context.Context, queue string) (*checks, error) {
	b.settings.Lock()
	defer b.settings.Unlock()
	held, err := b.Held(ctx, queue)
	if err != nil {
		return nil, err
	}
	if err := b.setSchemas(queue, held[0].Settings); err != nil {
		return nil, err
	}
	return b.checksOf(queue), nil
}

// resultSchema is what results must agree with; c may be nil.
func (c *checks) resultSchema() glassq.Schema {
	if c == nil {
		return ""
	}
	return c.resultText
}

// agreesResult holds the result of a to the checks of a queue, which may be nil, and notes by which
// schema.
func (c *checks) agreesResult(a *glassq.Ack, queue string) error {
	a.Checked = c.resultSchema()
	if a.Checked == "" {
		return nil
	}
	return agrees(a.Result, c.result, "the result", queue)
}

// agrees holds the body of t, as JSON, to check. Bytes that are neither text nor JSON agree with no
// schema.
func agrees(t *glassq.Task, check func([]byte) error, what, queue string) error {
	if t.Range != nil {
		return glassq.Errorf(glassq.CodeUnsupported,
			"queue %s checks each task against its schema, which a range of them cannot be; put its positions one by one", queue)
	}
	var err error
	switch jsonline.FormOf(t.Body, t.Type) {
	case jsonline.Text:
		err = check(jsonline.AppendString(nil, t.Body))
	case jsonline.JSON:
		err = check(t.Body)
	default:
		return glassq.Errorf(glassq.CodeSchema, "%s is bytes (%.60q); the schema of queue %s wants text or JSON", what,
			t.Type, queue)
	}
	if err != nil {
		return glassq.Errorf(glassq.CodeSchema, "%s does not agree with the schema of queue %s: %w", what, queue, err)
	}
	return nil
}
