package httpdoor

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/glassq/glassq"
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
	case glassq.CodeQueueFull:
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
		rw.Header().Set("Retry-After", "1")
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
	return write(rw, body)
}

// write writes a piece of an answer and flushes it.
func write(rw http.ResponseWriter, body []byte) error { return writeWithin(rw, body, stallTimeout) }

// writeWithin is write for a client that takes something within stall.
func writeWithin(rw http.ResponseWriter, body []byte, stall time.Duration) error {
	c := http.NewResponseController(rw)
	c.SetWriteDeadline(time.Now().Add(stall)) // where unsupported, there is no network
	defer c.SetWriteDeadline(time.Time{})     // the connection lives on
	if _, err := rw.Write(body); err != nil {
		return gone(err)
	}
	if err := c.Flush(); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return gone(err)
	}
	return nil
}

// gone wraps an error of the connection: no answer can be given any more.
func gone(err error) error { return &goneError{err} }

type goneError struct{ err error }

func (e *goneError) Error() string { return "write answer: " + e.err.Error() }
func (e *goneError) Unwrap() error { return e.err }

func isGone(err error) bool {
	_, ok := errors.AsType[*goneError](err)
	return ok
}
