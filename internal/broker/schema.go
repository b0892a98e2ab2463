package broker

import (
	"context"
	"maps"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/jsonline"
)

// A SchemaCompiler makes the check of bodies against a JSON Schema. A check is given a JSON text; its
// error names the path of the fault.
type SchemaCompiler func(text string) (check func(body []byte) error, err error)

// checks are what the schemas of one queue demand; nil demands nothing.
type checks struct {
	task, result func(body []byte) error
}

// UseSchemas lets queues have schemas, compiled by compile, and takes up those that queues have
// already. It is called once, before the broker is used. Without it settings with a schema are refused
// with code unsupported.
//
// The error, code bad_request, says that a stored schema does not compile.
func (b *Broker) UseSchemas(ctx context.Context, compile SchemaCompiler) error {
	b.compile = compile
	queues, err := b.store.Queues(ctx)
	if err != nil {
		return err
	}
	for _, q := range queues {
		if err := b.setSchemas(q.Name, q.Settings); err != nil {
			return err
		}
	}
	return nil
}

// compileSchemas makes the checks of settings, nil when they have no schema.
func (b *Broker) compileSchemas(queue string, s glassq.Settings) (*checks, error) {
	if s.TaskSchema == "" && s.ResultSchema == "" {
		return nil, nil
	}
	if b.compile == nil {
		return nil, glassq.Errorf(glassq.CodeUnsupported, "this program checks no schemas; leave task_schema and result_schema out")
	}
	var c checks
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

// agrees holds the body of t, as JSON, to check. Bytes that are neither text nor JSON agree with no
// schema.
func agrees(t *glassq.Task, check func([]byte) error, what, queue string) error {
	var err error
	switch jsonline.FormOf(t.Body, t.Type) {
	case jsonline.Text:
		err = check(jsonline.AppendString(nil, t.Body))
	case jsonline.JSON:
		err = check(t.Body)
	default:
		return glassq.Errorf(glassq.CodeSchema, "%s is bytes (%.60q); the schema of queue %s wants text or JSON", what, t.Type, queue)
	}
	if err != nil {
		return glassq.Errorf(glassq.CodeSchema, "%s does not agree with the schema of queue %s: %w", what, queue, err)
	}
	return nil
}
