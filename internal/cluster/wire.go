package cluster

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/engine"
	"github.com/glassq/glassq/internal/state"
)

// A call is JSON, with tasks in it as the records that the log holds, in base64.

// tasks travel as records.
type tasks []glassq.Task

func (ts tasks) MarshalJSON() ([]byte, error) {
	var records []byte
	for i := range ts {
		records = state.AppendPut(records, &ts[i])
	}
	text := append(make([]byte, 0, base64.StdEncoding.EncodedLen(len(records))+2), '"')
	return append(base64.StdEncoding.AppendEncode(text, records), '"'), nil
}

func (ts *tasks) UnmarshalJSON(text []byte) error {
	if len(text) < 2 || text[0] != '"' {
		return errors.New("tasks are no string")
	}
	records, err := base64.StdEncoding.AppendDecode(nil, text[1:len(text)-1])
	if err != nil {
		return err
	}
	var d state.Decoder
	*ts = nil
	return state.Puts(records, func(_ uint64, rec []byte) error {
		*ts = append(*ts, glassq.Task{})
		_, err := d.Task(&(*ts)[len(*ts)-1], rec)
		return err
	})
}

// A wireError is an error that travels.
type wireError struct {
	Code    glassq.Code    `json:"code,omitempty"`
	Message string         `json:"message,omitempty"`
	Deposed bool           `json:"deposed,omitempty"` // surely not done, the next owner may do it
	Queue   string         `json:"queue,omitempty"`   // of a glassq.UncheckedError
	Schema  *glassq.Schema `json:"schema,omitempty"`  // of one
}

// toWire makes nil of nil.
func toWire(err error) *wireError {
	if err == nil {
		return nil
	}
	if u, ok := errors.AsType[*glassq.UncheckedError](err); ok {
		return &wireError{Queue: u.Queue, Schema: &u.Schema}
	}
	return &wireError{Code: glassq.CodeOf(err), Message: err.Error(), Deposed: again(err)}
}

func (w *wireError) err() error {
	switch {
	case w == nil:
		return nil
	case w.Deposed:
		return &deposed{by: w.Message}
	case w.Schema != nil:
		return &glassq.UncheckedError{Queue: w.Queue, Schema: *w.Schema}
	}
	return &glassq.Error{Code: w.Code, Message: w.Message}
}

// again tells whether a call was surely not done because its owner is none any more.
func again(err error) bool {
	_, is := errors.AsType[*deposed](err)
	return is
}

// errorList is what an ack, a nack or an extend answers for each.
type errorList []error

func (l errorList) MarshalJSON() ([]byte, error) {
	list := make([]*wireError, len(l))
	for i, err := range l {
		list[i] = toWire(err)
	}
	return json.Marshal(list)
}

func (l *errorList) UnmarshalJSON(text []byte) error {
	var list []*wireError
	err := json.Unmarshal(text, &list)
	*l = make(errorList, len(list))
	for i, w := range list {
		(*l)[i] = w.err()
	}
	return err
}

// leases travel with the time that they have left.
type leases []glassq.Lease

type wireLease struct {
	Number  uint64        `json:"number"`
	Attempt int           `json:"attempt"`
	Left    time.Duration `json:"left"`
	Length  time.Duration `json:"length"`
	Age     time.Duration `json:"age"`
	Late    time.Duration `json:"late,omitempty"`
}

type wireLeases struct {
	Tasks  tasks       `json:"tasks"`
	Leases []wireLease `json:"leases"`
}

func (l leases) MarshalJSON() ([]byte, error) {
	var w wireLeases
	for i := range l {
		x := &l[i]
		w.Tasks = append(w.Tasks, x.Task)
		w.Leases = append(w.Leases, wireLease{x.Number, x.Attempt, time.Until(x.Deadline), x.Length, x.Age, x.Late})
	}
	return json.Marshal(w)
}

func (l *leases) UnmarshalJSON(text []byte) error {
	var w wireLeases
	if err := json.Unmarshal(text, &w); err != nil || len(w.Tasks) != len(w.Leases) {
		return errors.Join(err, errors.New("leases without tasks"))
	}
	*l = nil
	for i, x := range w.Leases {
		*l = append(*l, glassq.Lease{Task: w.Tasks[i], Number: x.Number, Attempt: x.Attempt, Deadline: time.Now().Add(x.Left),
			Length: x.Length, Age: x.Age, Late: x.Late})
	}
	return nil
}

// peeked are tasks that are shown.
type peeked []glassq.Peeked

type wirePeeked struct {
	Tasks tasks       `json:"tasks"`
	Shown []wireShown `json:"shown"`
}

type wireShown struct {
	Number  uint64        `json:"number"`
	State   glassq.State  `json:"state"`
	Attempt int           `json:"attempt"`
	Age     time.Duration `json:"age"`
	Due     time.Duration `json:"due"`
	Reason  string        `json:"reason,omitempty"`
}

func (l peeked) MarshalJSON() ([]byte, error) {
	var w wirePeeked
	for i := range l {
		x := &l[i]
		w.Tasks = append(w.Tasks, x.Task)
		w.Shown = append(w.Shown, wireShown{x.Number, x.State, x.Attempt, x.Age, x.Due, x.Reason})
	}
	return json.Marshal(w)
}

func (l *peeked) UnmarshalJSON(text []byte) error {
	var w wirePeeked
	if err := json.Unmarshal(text, &w); err != nil || len(w.Tasks) != len(w.Shown) {
		return errors.Join(err, errors.New("tasks are missing"))
	}
	*l = nil
	for i, x := range w.Shown {
		*l = append(*l, glassq.Peeked{Task: w.Tasks[i], Number: x.Number, State: x.State, Attempt: x.Attempt, Age: x.Age,
			Due: x.Due, Reason: x.Reason})
	}
	return nil
}

// acks travel without Within, which the gateway of the caller has asked.
type acks []glassq.Ack

type wireAck struct {
	Token   glassq.Token   `json:"token"`
	Outcome glassq.Outcome `json:"outcome,omitempty"`
	Result  tasks          `json:"result,omitempty"` // none or one
	Put     tasks          `json:"put,omitempty"`
	Checked glassq.Schema  `json:"checked,omitzero"`
}

func (l acks) MarshalJSON() ([]byte, error) {
	list := make([]wireAck, len(l))
	for i, a := range l {
		list[i] = wireAck{Token: a.Token, Outcome: a.Outcome, Put: a.Put, Checked: a.Checked}
		if a.Result != nil {
			list[i].Result = tasks{*a.Result}
		}
	}
	return json.Marshal(list)
}

func (l *acks) UnmarshalJSON(text []byte) error {
	var list []wireAck
	err := json.Unmarshal(text, &list)
	*l = make(acks, len(list))
	for i, a := range list {
		(*l)[i] = glassq.Ack{Token: a.Token, Outcome: a.Outcome, Put: a.Put, Checked: a.Checked}
		if len(a.Result) > 0 {
			(*l)[i].Result = &a.Result[0]
		}
	}
	return err
}

// A verb is a call that can be made at this gateway or at another one.
type verb[A, R any] struct {
	name  string
	waits bool // may wait for what others do, and ends with ctx
	do    func(ctx context.Context, e *engine.Engine, a A) (R, error)
	undo  func(e *engine.Engine, r R) // of an answer that nobody heard, or nil
}

// request and reply are what goes over the bus.
type request struct {
	Verb string          `json:"verb"`
	Args json.RawMessage `json:"args"`
}

type reply struct {
	Result json.RawMessage `json:"result,omitempty"`
	Error  *wireError      `json:"error,omitempty"`
}

// server is a verb without its types.
type server interface {
	serve(ctx context.Context, e *engine.Engine, args []byte) (data []byte, undo func())
}

func (v *verb[A, R]) serve(ctx context.Context, e *engine.Engine, args []byte) ([]byte, func()) {
	var a A
	if err := json.Unmarshal(args, &a); err != nil {
		return refuse(glassq.Errorf(glassq.CodeInternal, "a call of another gateway does not read: %w", err)), nil
	}
	r, err := v.do(ctx, e, a)
	result, encodeErr := json.Marshal(r)
	data, encodeErr2 := json.Marshal(reply{result, toWire(err)})
	if err := errors.Join(encodeErr, encodeErr2); err != nil {
		return refuse(fmt.Errorf("an answer for another gateway cannot be written: %w", err)), nil
	}
	if v.undo == nil || err != nil {
		return data, nil
	}
	return data, func() { v.undo(e, r) }
}

// refuse is the reply with an error.
func refuse(err error) []byte {
	data, _ := json.Marshal(reply{Error: toWire(err)}) // a struct of strings
	return data
}

// call does the verb where the owner is, and waits for one. remote tells that another gateway did
// it.
func (v *verb[A, R]) call(ctx context.Context, s *Store, a A, once bool) (r R, remote bool, err error) {
	var data []byte
	for {
		own, owner, changed, err := s.where()
		switch {
		case err != nil:
			return r, false, err
		case own != nil:
			r, err = v.do(ctx, own.engine, a)
			unknown := glassq.CodeOf(err) == glassq.CodeUnknown && !once
			if !again(err) && !unknown && glassq.CodeOf(err) != glassq.CodeClosed || s.isClosed() {
				return r, false, err
			}
			s.depose(own)
			continue
		case owner != "":
			if data == nil {
				if data, err = encode(v.name, a); err != nil {
					return r, false, err
				}
			}
			answer, err := s.calls.make(ctx, owner, data, v.waits, changed)
			switch {
			case err == nil:
				if r, err = decode[R](answer); !again(err) && (once || glassq.CodeOf(err) != glassq.CodeUnknown) {
					return r, true, err
				}
				// The call was not done, or may be made twice: there will be another owner.
				s.disown(owner)
				continue
			case errors.Is(err, errMoved), errors.Is(err, errLost) && !once && ctx.Err() == nil:
				s.disown(owner)
				continue
			case errors.Is(err, errLost):
				return r, false, glassq.Errorf(glassq.CodeUnknown,
					"the gateway that owned the store is gone, or did not answer: the call may be done or not")
			}
			return r, false, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return r, false, ctx.Err()
		}
	}
}

func encode(name string, args any) ([]byte, error) {
	text, err := json.Marshal(args)
	if err != nil {
		return nil, err
	}
	return json.Marshal(request{name, text})
}

func decode[R any](data []byte) (r R, err error) {
	var x reply
	if err = json.Unmarshal(data, &x); err == nil && len(x.Result) > 0 {
		err = json.Unmarshal(x.Result, &r)
	}
	if err != nil {
		return r, glassq.Errorf(glassq.CodeUnknown, "the answer of another gateway does not read, so the call may be done or not: %w", err)
	}
	return r, x.Error.err()
}
