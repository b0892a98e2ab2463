package dispatch

import (
	"bytes"
	"encoding/json"

	"github.com/glassq/glassq"
)

// parseJSONLine makes a task of one line of NDJSON:
//
//   - an object with body or b64 is an envelope, as the HTTP door takes it. One that also has url and
//     no b64 is a request (body is the request's), and so a body as a whole;
//   - a string is a text body;
//   - any other JSON value is the body itself.
//
// The run and n of an envelope, and an id made of them, say where it was taken from and are not kept;
// any other id is, see dress. t may point into line.
func parseJSONLine(line []byte, t *glassq.Task) error {
	if line[0] == '{' && isEnvelope(line) {
		return glassq.ParseTask(line, t)
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
	t.Body, t.Type = line, glassq.TypeJSON
	return nil
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
