package envelope

import (
	"strings"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/jsonline"
)

// ParseHook reads the envelope of a task that is put when a run ends. It has a queue, and no body,
// id or n: the engine gives it these. The error has code bad_request.
func ParseHook(hook glassq.Hook, t *glassq.Task) error {
	line := []byte(hook)
	if strings.HasPrefix(strings.TrimSpace(string(hook)), `"`) { // a name alone, as the command line takes it
		return glassq.Errorf(glassq.CodeBadRequest, `hook: it is an object, as in {"queue":"nightly"}`)
	}
	c := jsonline.ReadText(line)
	readTask(&c, line, t, needsNone, nil)
	switch err := c.Err(); {
	case err != nil:
		return glassq.Errorf(glassq.CodeBadRequest, "hook: %w", err)
	case t.Queue == "":
		return glassq.Errorf(glassq.CodeBadRequest, `hook: it needs a queue, as in {"queue":"nightly"}`)
	case t.ID != "" || t.Dense || t.Body != nil || t.Type != "":
		return glassq.Errorf(glassq.CodeBadRequest,
			"hook: its id, type and body are given by the end of the run; leave out id, n, type, body and b64, and use headers for what a worker should know")
	}
	t.Type = glassq.TypeJSON
	return nil
}

// AppendHook appends what ParseHook reads, the same text for equal tasks.
func AppendHook(dst []byte, t *glassq.Task) []byte {
	start := len(dst)
	bare := *t
	bare.ID, bare.Body, bare.Type, bare.Dense = "", nil, glassq.TypeOctets, false
	dst = AppendTask(dst, &bare)
	const noBody = `,"b64":""}`
	if n := len(dst) - len(noBody); n > start && string(dst[n:]) == noBody {
		dst = append(dst[:n], '}')
	}
	return dst
}
