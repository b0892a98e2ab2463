package httpdoor

import (
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/envelope"
	"github.com/glassq/glassq/internal/jsonline"
)

func (s *call) explainQueue(r *http.Request, _ *query) (any, error) {
	return s.explain.Queue(r.Context(), r.PathValue("queue"))
}

func (s *call) explainRun(r *http.Request, _ *query) (any, error) {
	return s.explain.Run(r.Context(), r.PathValue("run"))
}

// showTask shows a task by its id, ~number, or the number of its lease as a token,
// <number>.<queue>.
func (s *call) showTask(rw http.ResponseWriter, r *http.Request) error {
	f := glassq.Find{Queue: r.PathValue("queue"), ID: r.PathValue("id")}
	if t, err := glassq.ParseToken(f.ID); err == nil && t.Queue == f.Queue {
		f.Lease = t.Number
	}
	return s.tellTask(rw, r, f)
}

// showRunTask shows a task by its position.
func (s *call) showRunTask(rw http.ResponseWriter, r *http.Request) error {
	n, err := strconv.ParseUint(r.PathValue("n"), 10, 32)
	if err != nil {
		return glassq.Errorf(glassq.CodeBadRequest, "position %.40q is not a number from 0 to 4294967295", r.PathValue("n"))
	}
	return s.tellTask(rw, r, glassq.Find{Run: r.PathValue("run"), Position: uint32(n), Dense: true})
}

func (s *call) tellTask(rw http.ResponseWriter, r *http.Request, f glassq.Find) error {
	if q := parseQuery(r); q.err != nil {
		return q.err
	}
	x := s.explain
	x.Store = s.store // what is named may be of another queue or run than the address says
	t, err := x.Task(r.Context(), f)
	if err != nil {
		return err
	}
	head, _ := json.Marshal(t.Whereabouts) // strings cannot fail
	out := head[:len(head)-1]
	if t.Where == glassq.FoundHeld {
		out = envelope.AppendPeeked(jsonline.AppendKey(out, "task"), &t.Peeked)
	}
	return send(rw, http.StatusOK, typeJSON, append(out, '}', '\n'))
}
