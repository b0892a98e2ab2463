package httpdoor

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/door"
	"github.com/glassq/glassq/internal/envelope"
)

// atOnce is how long a reserve takes that does not wait. A client that ends its side later has most likely
// gone; one that did so before has sent its requests and their end, and reads.
const atOnce = 100 * time.Millisecond

// reserve hands out up to max tasks (default 1) as NDJSON leases, or answers 204 when there was
// none within wait (default 0: answer at once; at most 10 minutes). lease is the length of the
// leases. take=true acks the tasks as they are handed out.
//
// A client that ends its side while it waits is answered at once, that there was none: most have gone.
// Leases whose answer cannot be written go back to their old places at once.
func (s *call) reserve(rw http.ResponseWriter, r *http.Request) error {
	words := []string{"max", "wait", "lease", "take"}
	q := parseQuery(r, words...)
	req := glassq.Reserve{
		Queue: r.PathValue("queue"),
		Max:   int(q.atLeast1("max", 1, glassq.MaxBatch)),
		Wait:  min(q.duration("wait"), maxPoll),
		Lease: q.duration("lease"),
		Take:  q.flag("take"),
	}
	if q.err != nil {
		return q.err
	}
	if err := s.noBody(rw, r, words...); err != nil {
		return err
	}
	p, ctx := s.page(rw, r.Context(), r)
	defer p.Done()
	waits := req.Wait > 0 && s.asked.Err() == nil
	if !waits {
		req.Wait = 0
	}
	began := time.Now()
	var leases []glassq.Lease
	over, err := s.wait(ctx, waits, func(ctx context.Context) (err error) {
		leases, err = s.store.Reserve(ctx, req)
		return err
	})
	if err != nil && !over {
		return err
	}
	tokens := held(leases, req.Take)
	if waits && !req.Take && s.asked.Err() != nil && time.Since(began) > atOnce {
		door.GiveBack(r.Context(), s.broker, s.frame.Log, tokens)
		leases = nil
	}
	if len(leases) == 0 {
		rw.WriteHeader(http.StatusNoContent)
		return nil
	}
	switch err := sendLeases(p, r, leases); {
	case err != nil || vanished(r):
		door.GiveBack(r.Context(), s.broker, s.frame.Log, tokens)
	case req.Take && len(tokens) > 0:
		s.taken(r.Context(), tokens)
	}
	return nil
}

// vanished tells whether the client of r has gone altogether, and so has not read its answer.
func vanished(r *http.Request) bool {
	nc, ok := r.Context().Value(connKey{}).(*door.Conn)
	return ok && (nc.Vanished() || nc.Life().Err() != nil) // the reset is told once, and may have been to a read
}

// held are the tokens of leases: with take only those of tasks that were too large to be taken as
// they were handed out, and which the client does not hear of.
func held(leases []glassq.Lease, take bool) (tokens []glassq.Token) {
	for i := range leases {
		if leases[i].Number == 0 {
			continue
		}
		tokens = append(slices.Grow(tokens, len(leases)-i), leases[i].Token())
		if take {
			leases[i].Number = 0
		}
	}
	return tokens
}

// taken ends the leases of tasks that have left.
func (s *Server) taken(ctx context.Context, tokens []glassq.Token) {
	acks := make([]glassq.Ack, len(tokens))
	for i, t := range tokens {
		acks[i].Token = t
	}
	errs, err := s.broker.Ack(context.WithoutCancel(ctx), acks)
	if err = errors.Join(append(errs, err)...); err != nil {
		s.frame.Log.Warn("large tasks were sent and may be handed out again", "tasks", len(tokens), "err", err)
	}
}

func sendLeases(p *page, r *http.Request, leases []glassq.Lease) error {
	if err := r.Context().Err(); err != nil {
		return err
	}
	p.rw.Header().Set("Content-Type", typeNDJSON)
	for i := range leases {
		var rest envelope.Rest
		p.out, rest = envelope.CutLease(p.out, &leases[i])
		if err := p.print(rest); err != nil {
			return err
		}
		if p.out = append(p.out, '\n'); i == 0 { // most others are about as long
			p.out = slices.Grow(p.out, min(len(p.out)*(len(leases)-1), printed))
		}
	}
	return p.end()
}

func (s *call) ack(rw http.ResponseWriter, r *http.Request) error {
	return settle(s, rw, r, envelope.ParseAck, s.store.Ack)
}

func (s *call) nack(rw http.ResponseWriter, r *http.Request) error {
	return settle(s, rw, r, envelope.ParseNack, s.store.Nack)
}

func (s *call) extend(rw http.ResponseWriter, r *http.Request) error {
	return settle(s, rw, r, envelope.ParseExtend, s.store.Extend)
}

// settle serves ack, nack and extend: each line is answered for itself, also one that cannot be
// read. With answer=errors only refused lines are answered, as {"line":k,"error":{…}}.
func settle[T any](s *call, rw http.ResponseWriter, r *http.Request,
	parse func([]byte, *T) error,
	do func(context.Context, []T) ([]error, error)) error {
	q := parseQuery(r, "answer")
	onlyErrors := q.oneOf("answer", "each", "errors") == "errors"
	if q.err != nil {
		return q.err
	}
	body, done, err := s.readBody(rw, r, maxRequest)
	if err != nil {
		return err
	}
	defer done()
	media := mediaType(r)
	if !isNDJSON(media) {
		media = typeJSON // curl -d does not say
	}
	var list records
	single, err := list.split(media, body)
	if err != nil {
		return err
	}
	if len(list) == 0 {
		return glassq.Errorf(glassq.CodeBadRequest, "nothing in the body")
	}
	errs := make([]error, len(list))
	items := make([]T, len(list))
	at := make([]int, 0, len(list)) // items[j] is list[at[j]]
	for i, rec := range list {
		if errs[i] = parse(rec.text, &items[len(at)]); errs[i] == nil {
			at = append(at, i)
		}
	}
	items = items[:len(at)]
	if len(items) > 0 {
		results, err := do(r.Context(), items)
		if err != nil {
			return err
		}
		for j, err := range results {
			errs[at[j]] = err
		}
	}
	if single {
		if errs[0] != nil {
			return errs[0]
		}
		send(rw, http.StatusOK, typeJSON, []byte("{\"ok\":true}\n"))
		return nil
	}
	var out []byte
	for i, err := range errs {
		switch {
		case err != nil && onlyErrors:
			out = strconv.AppendInt(append(out, `{"line":`...), int64(list[i].line), 10)
			at := len(out)
			out = appendError(out, err)
			out[at] = ',' // the brace that appendError began with
		case err != nil:
			out = appendError(out, err)
		case onlyErrors:
			continue
		default:
			out = append(out, `{"ok":true}`...)
		}
		out = append(out, '\n')
	}
	send(rw, http.StatusOK, typeNDJSON, out)
	return nil
}
