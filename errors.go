package glassq

import (
	"errors"
	"fmt"
	"time"
)

// A Code is the word by which every door names an error.
type Code string

const (
	CodeBadRequest   Code = "bad_request"     // malformed, or a value out of its bounds
	CodeBadName      Code = "bad_name"        // not a queue or run name
	CodeTooLarge     Code = "too_large"       // a body or a batch over the limit
	CodeNotFound     Code = "not_found"       // no such queue or run
	CodeLeaseLost    Code = "lease_lost"      // the token is unknown, expired, or replaced by a newer hand-out
	CodeQueueFull    Code = "queue_full"      // the queue's max_tasks, max_bytes or max_unique
	CodeQuota        Code = "quota"           // as many queues or runs as there may be; or more than a token may put in the time
	CodeRunConflict  Code = "run_conflict"    // the run has another source, or is sealed, or is not over
	CodeSchema       Code = "schema_mismatch" // a body does not agree with the queue's schema
	CodeUnsupported  Code = "unsupported"     // this engine cannot do that
	CodeUnauthorized Code = "unauthorized"    // no key, or the wrong one
	CodeForbidden    Code = "forbidden"       // the token lacks the scope; or refused whatever the key: cross-site, wrong Host
	CodeStorageFull  Code = "storage_full"    // no room for puts; acks go on
	CodeUnknown      Code = "outcome_unknown" // it may be done or not: repeating is safe only with an id, within the dedup window
	CodeStorage      Code = "storage_failed"  // a write or sync failed: the outcome is unknown, the engine stops
	CodeDamaged      Code = "damaged"         // stored data does not check out
	CodeClosed       Code = "closed"          // the engine or server is stopping
	CodeUnavailable  Code = "unavailable"     // not done, try again
	CodeInternal     Code = "internal"        // a bug in this program
)

// An Error is a refusal with a word for programs and a sentence for people. Two Errors are the same
// to errors.Is when their codes are.
type Error struct {
	Code    Code
	Message string
	Err     error // what it wraps, or nil

	RetryAfter time.Duration // after which the same call may pass; 0 where nobody knows
}

// Errorf makes an Error. The error of a %w in format becomes its Err.
func Errorf(code Code, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Code: code, Message: err.Error(), Err: errors.Unwrap(err)}
}

func (e *Error) Error() string { return e.Message }

func (e *Error) Unwrap() error { return e.Err }

// Is makes errors.Is compare codes.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

// CodeOf returns the code of err, or CodeInternal when it carries none.
func CodeOf(err error) Code {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return CodeInternal
}

// RetryAfter returns after which time the refused call may pass, or 0 when err does not say.
func RetryAfter(err error) time.Duration {
	for e, ok := errors.AsType[*Error](err); ok; e, ok = errors.AsType[*Error](e.Err) {
		if e.RetryAfter > 0 {
			return e.RetryAfter
		}
	}
	return 0
}

// Sentinels for errors.Is. An engine's errors may carry a longer sentence.
var (
	ErrLeaseLost   = &Error{Code: CodeLeaseLost, Message: "lease lost: the token is unknown, expired, or replaced by a newer hand-out"}
	ErrNotFound    = &Error{Code: CodeNotFound, Message: "not found"}
	ErrQueueFull   = &Error{Code: CodeQueueFull, Message: "queue full"}
	ErrTooLarge    = &Error{Code: CodeTooLarge, Message: "too large"}
	ErrBadName     = &Error{Code: CodeBadName, Message: "bad name"}
	ErrBadRequest  = &Error{Code: CodeBadRequest, Message: "bad request"}
	ErrRunConflict = &Error{Code: CodeRunConflict, Message: "run conflict"}
	ErrClosed      = &Error{Code: CodeClosed, Message: "closed"}
	ErrUnknown     = &Error{Code: CodeUnknown, Message: "the outcome is unknown"}
	ErrStorage     = &Error{Code: CodeStorage, Message: "storage failed: the outcome is unknown"}
	ErrUnsupported = &Error{Code: CodeUnsupported, Message: "unsupported by this store"}
)

// An UncheckedError answers an ack whose Result was checked against another schema than the one its
// lease's queue has. Nothing was done. The broker before the engine checks the result against
// Schema and repeats the ack; only the engine knows the queue of a lease that is named by its
// number alone, and which settings are the newest.
type UncheckedError struct {
	Queue  string // of the lease
	Schema Schema // what results of its tasks must agree with now; "" for anything
}

func (e *UncheckedError) Error() string {
	return "the result was not checked against the schema of queue " + e.Queue
}

// Unwrap gives it the code schema_mismatch, for callers without a broker.
func (e *UncheckedError) Unwrap() error { return &Error{Code: CodeSchema, Message: e.Error()} }
