package worker

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/lack"
	"github.com/glassq/glassq/result"
)

// Do is Run for work that is one function: it has tasks of q done by work, and makes their result
// records. The function is called from Options.Concurrency goroutines at once; its ctx and lease
// are as in Handler.
//
// The return values of work decide how a task ends:
//
//   - A value and no error: done, booked as ok. The record holds the value, as encoding/json prints it, as
//     member v of o; nil, or what else is printed as null, is left out.
//   - An error with a *NackError in it: the task goes back, as that one says. So a task is tried again by
//     returning &NackError{Err: err}, up to its attempts.
//   - Any error once ctx is done: the task goes back to its old place, the attempt not counted.
//   - An error because this program lacks something of its own, such as open files: the task goes back
//     uncounted, and fewer are taken at once for a while.
//   - Any other error: done, booked as failed, with the text of the error, at most glassq.MaxReason bytes of it, as
//     member msg of o, and result.ClassError as err. So it is with a
//     value that encoding/json refuses.
//
// Follow-ups, and records of another form, need Run. Do returns when Run does, with the same
// errors.
func Do[V any](ctx context.Context, q Queue, opt Options,
	work func(ctx context.Context, l *glassq.Lease) (V, error)) (Stats, error) {
	return Run(ctx, q, opt, func(int) Handler {
		return HandlerFunc(func(ctx context.Context, l *glassq.Lease, r *Reply) error {
			rec := result.Record{OK: true, Began: time.Now(), Lag: l.Late, Attempt: l.Attempt}
			v, err := work(ctx, l)
			rec.Took = time.Since(rec.Began)
			if err != nil && goesBack(ctx, err) {
				return err
			}
			if err == nil {
				rec.More, err = member(v)
			}
			if err != nil {
				rec.OK, rec.Class, rec.Message = false, result.ClassError, clip(err.Error())
				r.Outcome = glassq.Failed
			}
			r.Judged = true
			r.Body = result.Append(r.Body, l.Body, l.Type, &rec)
			return nil
		})
	})
}

// goesBack reports whether a task whose work ended with err is given back.
func goesBack(ctx context.Context, err error) bool {
	_, nack := errors.AsType[*NackError](err)
	return nack || ctx.Err() != nil || lack.Of(err) != ""
}

// member prints v as the member of a record, "" for nothing.
func member(v any) (string, error) {
	b, err := json.Marshal(v)
	if err != nil || bytes.Equal(b, []byte("null")) {
		return "", err
	}
	return `"v":` + string(b), nil
}
