package httpdoor

import (
	"context"
	"net/http"
	"strconv"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/rights"
)

// maxIntervals bounds one page of ids.
const maxIntervals = 100_000

func appendUint(dst []byte, n uint64) []byte { return strconv.AppendUint(dst, n, 10) }

func (s *call) runs(r *http.Request, _ *query) (any, error) {
	list, err := s.store.Runs(r.Context())
	return listed("runs", list), err
}

// showRun shows a run; with until it waits up to wait (at most 10 minutes) for that phase first,
// and shows the run as it is then.
func (s *call) showRun(r *http.Request, q *query) (any, error) {
	phase := glassq.Phase(q.oneOf("until", "", string(glassq.PhaseExists), string(glassq.PhaseComplete),
		string(glassq.PhaseDrained)))
	wait := min(q.duration("wait"), maxPoll)
	if phase == "" && q.has("wait") {
		q.fail("wait needs until=exists, complete or drained")
	}
	if q.err != nil {
		return nil, q.err
	}
	if phase == "" {
		return s.store.Run(r.Context(), r.PathValue("run"))
	}
	var run glassq.Run
	over, err := s.wait(r.Context(), true, func(ctx context.Context) (err error) {
		run, err = s.store.AwaitRun(ctx, r.PathValue("run"), phase, wait)
		return err
	})
	if over {
		return s.store.AwaitRun(r.Context(), r.PathValue("run"), phase, 0)
	}
	return run, err
}

func (s *call) setRun(r *http.Request, c *glassq.RunChange) (any, error) {
	return s.store.SetRun(r.Context(), r.PathValue("run"), *c)
}

// runIDs answers which positions are in a set (default put), as [first,last] pairs from position
// from on. next is there when the page is full: the from of the next page.
func (s *call) runIDs(rw http.ResponseWriter, r *http.Request) error {
	q := parseQuery(r, "state", "from", "max")
	set := glassq.IDSet(q.oneOf("state", string(glassq.IDsPut), string(glassq.IDsDone), string(glassq.IDsFailed),
		string(glassq.IDsDead)))
	if len(q.values["state"]) > 1 {
		q.fail("ids shows one set")
	}
	from := uint32(q.number("from", 0, 1<<32-1))
	limit := int(q.atLeast1("max", 10_000, maxIntervals))
	if q.err != nil {
		return q.err
	}
	list, err := s.store.RunIDs(r.Context(), r.PathValue("run"), set, from, limit)
	if err != nil {
		return err
	}
	out := []byte(`{"intervals":[`)
	for i, v := range list {
		if i > 0 {
			out = append(out, ',')
		}
		out = appendUint(append(out, '['), uint64(v.First))
		out = append(appendUint(append(out, ','), uint64(v.Last)), ']')
	}
	out = append(out, ']')
	if len(list) >= limit && list[len(list)-1].Last < 1<<32-1 {
		out = appendUint(append(out, `,"next":`...), uint64(list[len(list)-1].Last)+1)
	}
	return send(rw, http.StatusOK, typeJSON, append(out, '}', '\n'))
}

func (s *call) cancelRun(r *http.Request, _ *query) (any, error) {
	n, err := s.store.CancelRun(r.Context(), r.PathValue("run"))
	return map[string]int{"cancelled": n}, err
}

func (s *call) dropRun(r *http.Request, _ *query) (any, error) {
	return okay, s.store.DropRun(r.Context(), r.PathValue("run"))
}

func (s *call) reload(r *http.Request, _ *query) (any, error) {
	if s.reread == nil {
		return nil, glassq.Errorf(glassq.CodeUnsupported, "this server has no settings that it could read again")
	}
	var did glassq.Reloaded
	_, err := s.store.Do(r.Context(), rights.VerbReload, "", func() (_ int, err error) {
		if did, err = s.reread(); err != nil {
			err = glassq.Errorf(glassq.CodeBadRequest, "%w", err)
		}
		return 0, err
	})
	return did, err
}

func (s *call) stats(r *http.Request, _ *query) (any, error) { return s.store.Stats(r.Context()) }

// showMetrics answers Prometheus. With a key, whoever asks needs it: names of queues are not for
// everybody.
func (s *call) showMetrics(rw http.ResponseWriter, r *http.Request) error {
	if q := parseQuery(r); q.err != nil {
		return q.err
	}
	to := &steady{ResponseWriter: rw}
	defer to.done()
	s.metrics.ServeHTTP(to, r)
	return nil
}

// livez says that the process answers.
func (s *call) livez(rw http.ResponseWriter, _ *http.Request) error { return answer(rw, okay) }

// readyz says that the store works and the server is not stopping.
func (s *call) readyz(rw http.ResponseWriter, r *http.Request) error {
	if s.isDraining() {
		return errDraining
	}
	if _, err := s.broker.Stats(r.Context()); err != nil {
		// The routes that fail tell those who have the key what is wrong.
		return glassq.Errorf(glassq.CodeUnavailable, "the store does not answer: %s", glassq.CodeOf(err))
	}
	return answer(rw, okay)
}

// whoami says what the client may do.
func (s *call) whoami(*http.Request, *query) (any, error) {
	return s.store.Who.Identity(s.frame.Access.Locked()), nil
}
