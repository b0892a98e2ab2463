package httpdoor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/door"
	"github.com/glassq/glassq/internal/envelope"
	"github.com/glassq/glassq/internal/room"
)

const (
	typeJSON   = "application/json"
	typeNDJSON = "application/x-ndjson"
)

// statusOf is the HTTP status of a code.
func statusOf(code glassq.Code) int {
	switch code {
	case glassq.CodeBadRequest, glassq.CodeBadName:
		return http.StatusBadRequest
	case glassq.CodeUnauthorized:
		return http.StatusUnauthorized
	case glassq.CodeForbidden:
		return http.StatusForbidden
	case glassq.CodeNotFound:
		return http.StatusNotFound
	case glassq.CodeLeaseLost, glassq.CodeRunConflict:
		return http.StatusConflict
	case glassq.CodeTooLarge:
		return http.StatusRequestEntityTooLarge
	case glassq.CodeSchema:
		return http.StatusUnprocessableEntity
	case glassq.CodeQueueFull, glassq.CodeQuota:
		return http.StatusTooManyRequests
	case glassq.CodeStorageFull:
		return http.StatusInsufficientStorage
	case glassq.CodeClosed, glassq.CodeUnavailable, glassq.CodeUnknown:
		return http.StatusServiceUnavailable
	case glassq.CodeUnsupported:
		return http.StatusNotImplemented
	}
	return http.StatusInternalServerError
}

// refuse answers with an error.
func (s *Server) refuse(rw http.ResponseWriter, r *http.Request, err error) {
	switch {
	case s.isDraining() && errors.Is(err, context.Canceled):
		err = errDraining
	case r.Context().Err() != nil && errors.Is(err, r.Context().Err()):
		// Hardly anybody is there to read it, but silence would be sent as 200.
		err = glassq.Errorf(glassq.CodeUnavailable, "the request was given up: %w", err)
	case glassq.CodeOf(err) == glassq.CodeInternal:
		s.frame.Log.Error("request not served", "method", r.Method, "path", r.URL.Path, "err", err)
	}
	refuse(rw, err)
}

func refuse(rw http.ResponseWriter, err error) {
	refuseStatus(rw, statusOf(glassq.CodeOf(err)), err)
}

func refuseStatus(rw http.ResponseWriter, status int, err error) {
	switch status {
	case http.StatusUnauthorized:
		rw.Header().Set("WWW-Authenticate", `Bearer realm="glassq"`)
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		after := int64(1)
		if wait := glassq.RetryAfter(err); wait > 0 {
			after = int64((wait + time.Second - 1) / time.Second)
		} else if glassq.CodeOf(err) == glassq.CodeQuota {
			break // what is full of queues or runs stays so
		}
		rw.Header().Set("Retry-After", strconv.FormatInt(after, 10))
	}
	send(rw, status, typeJSON, append(appendError(nil, err), '\n'))
}

// appendError appends {"error":{"code":…,"message":…}}.
func appendError(dst []byte, err error) []byte {
	var answer struct {
		Error struct {
			Code    glassq.Code `json:"code"`
			Message string      `json:"message"`
		} `json:"error"`
	}
	answer.Error.Code = glassq.CodeOf(err)
	answer.Error.Message = err.Error()
	text, _ := json.Marshal(answer) // strings alone cannot fail
	return append(dst, text...)
}

// answer sends v as JSON with status 200.
func answer(rw http.ResponseWriter, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return glassq.Errorf(glassq.CodeInternal, "print an answer: %w", err)
	}
	return send(rw, http.StatusOK, typeJSON, append(text, '\n'))
}

// send writes a whole answer and hands it to the network. Its error means that the client got none
// or only a part; there is nobody to tell.
func send(rw http.ResponseWriter, status int, contentType string, body []byte) error {
	h := rw.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	rw.WriteHeader(status)
	return write(rw, nil, body)
}

// write writes a piece of an answer and flushes it. answer is that of the bodies in it, nil for
// none: then it has room of its own if it is large, as lists and receipts may be.
func write(rw http.ResponseWriter, answer *door.Answer, body []byte) error {
	c := http.NewResponseController(rw)
	if w, ok := rw.(*writer); ok && answer == nil && len(body) > printed {
		answer = w.s.begin(rw, w.r)
		defer answer.Done()
		if err := answer.Take(w.r.Context(), int64(len(body))); err != nil {
			return gone(err)
		}
	}
	defer c.SetWriteDeadline(time.Time{}) // the connection lives on
	if err := answer.Send(receiver{rw, c}, body); err != nil {
		return gone(err)
	}
	if err := c.Flush(); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return gone(err)
	}
	return nil
}

// A writer is a ResponseWriter that knows its request.
type writer struct {
	http.ResponseWriter
	s *Server
	r *http.Request
}

// Unwrap is for http.ResponseController.
func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// A receiver is where an answer goes to.
type receiver struct {
	io.Writer
	*http.ResponseController
}

// printed is how much of an answer is printed before it is sent, and how much of a body at a time.
const (
	printed = 256 << 10
	atATime = 32 << 10
)

// A page is an answer with bodies, which are printed and sent piece by piece. The caller must call
// Done.
type page struct {
	*door.Answer
	rw    http.ResponseWriter
	out   []byte // printed, and not yet sent
	begun bool   // something was sent
}

// page begins an answer to r. The verb that fills it is called under the context that it returns.
func (s *Server) page(rw http.ResponseWriter, ctx context.Context, r *http.Request) (*page, context.Context) {
	p := &page{Answer: s.begin(rw, r), rw: rw}
	return p, room.With(ctx, p)
}

func (s *Server) begin(rw http.ResponseWriter, r *http.Request) *door.Answer {
	cut := func() { http.NewResponseController(rw).SetWriteDeadline(door.LongAgo) }
	if nc, ok := r.Context().Value(connKey{}).(*door.Conn); ok {
		cut = nc.Cut
	}
	return s.frame.Answers.Begin(r.RemoteAddr, 1, cut)
}

// print prints the rest of a task, and sends what there is of it and before it where that is much.
func (p *page) print(rest envelope.Rest) error {
	for more := true; more; {
		if p.out, more = rest.Append(p.out, atATime); len(p.out) < printed {
			continue
		}
		if err := write(p.rw, p.Answer, p.out); err != nil {
			return err
		}
		p.out, p.begun = p.out[:0], true
	}
	return nil
}

// end sends what is left.
func (p *page) end() error {
	if !p.begun {
		p.rw.Header().Set("Content-Length", strconv.Itoa(len(p.out)))
	}
	return write(p.rw, p.Answer, p.out)
}

// errGone is that of a connection: no answer can be given any more.
var errGone = errors.New("write answer")

func gone(err error) error { return fmt.Errorf("%w: %w", errGone, err) }
