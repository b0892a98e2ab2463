package dispatch

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/broker"
	"github.com/glassq/glassq/internal/envelope"
	"github.com/glassq/glassq/internal/jsonline"
)

// parseJSONLine makes a task of one line of NDJSON:
//
//   - an object with body or b64 is an envelope, as the HTTP door takes it. One that also has url and
//     no b64 is a request (body is the request's), and so a body as a whole;
//   - of a request, the members in lifted are options of the task, as in an envelope;
//   - a string is a text body;
//   - any other JSON value is the body itself.
//
// The run and n of an envelope, and an id made of them, say where it was taken from and are not
// kept; any other id is, see dress. t may point into line.
func parseJSONLine(line []byte, t *glassq.Task) error {
	if line[0] == '{' && isEnvelope(line) {
		return envelope.ParseTask(line, t)
	}
	if line[0] == '"' {
		var s string
		if err := json.Unmarshal(line, &s); err != nil {
			return notJSON(err)
		}
		t.Body, t.Type = []byte(s), glassq.TypeText
		return nil
	}
	if !json.Valid(line) {
		var v json.RawMessage
		return notJSON(json.Unmarshal(line, &v))
	}
	if err := lift(line, t); err != nil {
		return err
	}
	t.Body, t.Type = line, glassq.TypeJSON
	return nil
}

// lifted are the members of a request that say how its task is queued.
var lifted = []string{"id", "priority", "delay", "ttl", "attempts", "lease", "result", "key", "cost"}

// lift takes the options of a task from an object that has url. They stay in the body as well.
func lift(line []byte, t *glassq.Task) error {
	if line[0] != '{' || !bytes.Contains(line, []byte(`"url"`)) {
		return nil
	}
	found := false
	for _, name := range lifted {
		found = found || bytes.Contains(line, []byte(`"`+name+`"`))
	}
	if !found {
		return nil
	}
	options, isRequest := []byte(`{"body":""`), false
	c := jsonline.Read(line)
	for c.Open('{', "a task"); c.More(); {
		name, v := string(c.Key()), c.Value()
		isRequest = isRequest || name == "url"
		if slices.Contains(lifted, name) {
			options = append(jsonline.AppendKey(options, name), v...)
		}
	}
	if !isRequest {
		return nil
	}
	return envelope.ParseTask(append(options, '}'), t) // which refuses what comes twice
}

// A checker checks tasks by the broker's rules, so that a bad one is named by its line and not by
// its place in a batch. The server finds what only it knows, such as its limit of bodies.
type checker struct {
	broker *broker.Broker
	one    [1]glassq.Task
}

// nowhere is a store that keeps nothing.
type nowhere struct{ glassq.Store }

func (nowhere) Put(context.Context, []glassq.Task) ([]glassq.Receipt, error) { return nil, nil }

func newChecker() *checker {
	return &checker{broker: broker.New(nowhere{}, glassq.Limits{MaxBody: glassq.HardMaxBody})}
}

func (c *checker) task(t *glassq.Task) error {
	c.one[0] = *t
	c.one[0].Queue, c.one[0].Run, c.one[0].Dense = glassq.DefaultQueue, "", false
	_, err := c.broker.Put(context.Background(), c.one[:])
	c.one[0] = glassq.Task{}
	return err
}

// isEnvelope reports whether an object has body or b64 among its own members.
func isEnvelope(line []byte) bool {
	if !bytes.Contains(line, []byte(`"body"`)) && !bytes.Contains(line, []byte(`"b64"`)) {
		return false
	}
	var has struct{ Body, B64, URL json.RawMessage }
	if json.Unmarshal(line, &has) != nil {
		return false // not JSON: the caller says why
	}
	return has.B64 != nil || has.Body != nil && has.URL == nil
}

func notJSON(err error) error {
	return glassq.Errorf(glassq.CodeBadRequest, "not JSON: %w", err)
}
