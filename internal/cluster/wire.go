package cluster

import (
	"cmp"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/engine"
	"github.com/glassq/glassq/internal/state"
)

// A call, or an answer, is the length of its JSON in 4 bytes, JSON, and behind it the tasks in the
// order in which the JSON counts them, as the records that the log holds.

// A packer collects the tasks of what is packed.
type packer struct{ records []byte }

func (p *packer) task(t *glassq.Task) { p.records = state.AppendPut(p.records, t) }

// An unpacker gives them back. After an error its tasks are empty.
type unpacker struct {
	records []byte
	decoder state.Decoder
	err     error
}

func (u *unpacker) task(t *glassq.Task) {
	if u.err != nil {
		return
	}
	size, err := state.PutSize(u.records)
	if err == nil {
		_, err = u.decoder.Task(t, u.records[:size])
	}
	if u.err = err; err == nil {
		u.records = u.records[size:]
	}
}

// tasks gives n tasks back, each of which takes some bytes at least.
func (u *unpacker) tasks(n int) []glassq.Task {
	if n < 0 || n > len(u.records) {
		u.err = errors.New("tasks are missing")
		return nil
	}
	list := make([]glassq.Task, n)
	for i := range list {
		u.task(&list[i])
	}
	return list
}

// pack appends v to dst. v may be one that packs its tasks apart.
func pack(dst []byte, v any) ([]byte, error) {
	var p packer
	if x, ok := v.(interface{ pack(*packer) any }); ok {
		v = x.pack(&p)
	}
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	dst = slices.Grow(dst, 4+len(text)+len(p.records))
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(text)))
	return append(append(dst, text...), p.records...), nil
}

// unpack reads what pack wrote.
func unpack(data []byte, into any) error {
	if len(data) < 4 || uint64(len(data)-4) < uint64(binary.LittleEndian.Uint32(data)) {
		return errors.New("it is cut short")
	}
	n := 4 + binary.LittleEndian.Uint32(data)
	text, u := data[4:n], unpacker{records: data[n:]}
	if x, ok := into.(interface {
		unpack(text []byte, u *unpacker) error
	}); ok {
		return errors.Join(x.unpack(text, &u), u.err)
	}
	return json.Unmarshal(text, into)
}

// A wireError is an error that travels.
type wireError struct {
	Code    glassq.Code    `json:"code,omitempty"`
	Message string         `json:"message,omitempty"`
	Deposed bool           `json:"deposed,omitempty"` // surely not done, the next owner may do it
	After   time.Duration  `json:"after,omitempty"`   // glassq.Error.RetryAfter
	Ended   bool           `json:"ended,omitempty"`   // the caller cancelled it
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
	return &wireError{Code: glassq.CodeOf(err), Message: err.Error(), Deposed: again(err),
		After: glassq.RetryAfter(err), Ended: errors.Is(err, context.Canceled)}
}

func (w *wireError) err() error {
	switch {
	case w == nil:
		return nil
	case w.Deposed:
		return &deposed{by: w.Message}
	case w.Ended:
		return context.Canceled
	case w.Schema != nil:
		return &glassq.UncheckedError{Queue: w.Queue, Schema: *w.Schema}
	}
	return &glassq.Error{Code: w.Code, Message: w.Message, RetryAfter: w.After}
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

	Progress *glassq.Progress `json:"progress,omitempty"`
}

func (l leases) pack(p *packer) any {
	list := make([]wireLease, len(l))
	for i := range l {
		x := &l[i]
		p.task(&x.Task)
		list[i] = wireLease{x.Number, x.Attempt, time.Until(x.Deadline), x.Length, x.Age, x.Late, x.Progress}
	}
	return list
}

func (l *leases) unpack(text []byte, u *unpacker) error {
	var list []wireLease
	err := json.Unmarshal(text, &list)
	*l = make(leases, len(list))
	for i, x := range list {
		(*l)[i] = glassq.Lease{Number: x.Number, Attempt: x.Attempt, Deadline: time.Now().Add(x.Left), Length: x.Length,
			Age: x.Age, Late: x.Late, Progress: x.Progress}
		u.task(&(*l)[i].Task)
	}
	return err
}

// older has less time left by what passed since the answer was made.
func (l leases) older(by time.Duration) {
	for i := range l {
		l[i].Deadline = l[i].Deadline.Add(-by)
	}
}

// A wireShown is a task that is shown.
type wireShown struct {
	Number  uint64        `json:"number"`
	State   glassq.State  `json:"state"`
	Attempt int           `json:"attempt"`
	Age     time.Duration `json:"age"`
	Due     time.Duration `json:"due"`
	Reason  string        `json:"reason,omitempty"`

	Progress *glassq.Progress `json:"progress,omitempty"`
}

// shown is a page of tasks, or the one that was found and where.
type shown struct {
	tasks []glassq.Peeked
	next  uint64
	where string
}

type wirePage struct {
	Tasks []wireShown `json:"tasks"`
	Next  uint64      `json:"next,omitempty"`
	Where string      `json:"where,omitempty"`
}

func (s shown) pack(p *packer) any {
	w := wirePage{Tasks: make([]wireShown, len(s.tasks)), Next: s.next, Where: s.where}
	for i := range s.tasks {
		x := &s.tasks[i]
		p.task(&x.Task)
		w.Tasks[i] = wireShown{x.Number, x.State, x.Attempt, x.Age, x.Due, x.Reason, x.Progress}
	}
	return w
}

func (s *shown) unpack(text []byte, u *unpacker) error {
	var w wirePage
	err := json.Unmarshal(text, &w)
	*s = shown{make([]glassq.Peeked, len(w.Tasks)), w.Next, w.Where}
	for i, x := range w.Tasks {
		s.tasks[i] = glassq.Peeked{Number: x.Number, State: x.State, Attempt: x.Attempt, Age: x.Age, Due: x.Due,
			Reason:   x.Reason,
			Progress: x.Progress}
		u.task(&s.tasks[i].Task)
	}
	return err
}

// putArgs are of a Put, or with a wait of a PutWait.
type putArgs struct {
	tasks []glassq.Task
	wait  *time.Duration
}

type wirePut struct {
	Tasks int            `json:"tasks"`
	Wait  *time.Duration `json:"wait,omitempty"`
}

func (a putArgs) pack(p *packer) any {
	for i := range a.tasks {
		p.task(&a.tasks[i])
	}
	return wirePut{len(a.tasks), a.wait}
}

func (a *putArgs) unpack(text []byte, u *unpacker) error {
	var w wirePut
	err := json.Unmarshal(text, &w)
	a.tasks, a.wait = u.tasks(w.Tasks), w.Wait
	return err
}

// ackArgs are of an Ack, or with a wait of an AckWait. They travel without Within, which the gateway
// of the caller has asked.
type ackArgs struct {
	acks []glassq.Ack
	wait *time.Duration
}

type wireAck struct {
	Token   glassq.Token   `json:"token"`
	Outcome glassq.Outcome `json:"outcome,omitempty"`
	Result  bool           `json:"result,omitempty"`
	Put     int            `json:"put,omitempty"`
	Cost    *uint32        `json:"cost,omitempty"`
	Checked glassq.Schema  `json:"checked,omitzero"`
}

type wireAcks struct {
	Acks []wireAck      `json:"acks"`
	Wait *time.Duration `json:"wait,omitempty"`
}

func (a ackArgs) pack(p *packer) any {
	w := wireAcks{make([]wireAck, len(a.acks)), a.wait}
	for i, x := range a.acks {
		w.Acks[i] = wireAck{x.Token, x.Outcome, x.Result != nil, len(x.Put), x.Cost, x.Checked}
		if x.Result != nil {
			p.task(x.Result)
		}
		for k := range x.Put {
			p.task(&x.Put[k])
		}
	}
	return w
}

func (a *ackArgs) unpack(text []byte, u *unpacker) error {
	var w wireAcks
	err := json.Unmarshal(text, &w)
	*a = ackArgs{make([]glassq.Ack, len(w.Acks)), w.Wait}
	for i, x := range w.Acks {
		a.acks[i] = glassq.Ack{Token: x.Token, Outcome: x.Outcome, Cost: x.Cost, Checked: x.Checked}
		if x.Result {
			a.acks[i].Result = new(glassq.Task)
			u.task(a.acks[i].Result)
		}
		if x.Put > 0 {
			a.acks[i].Put = u.tasks(x.Put)
		}
	}
	return err
}

// A verb is a call that can be made at this gateway or at another one.
type verb[A, R any] struct {
	name  string
	waits bool // may wait for what others do, and ends with ctx
	// after is what the call asks once some time has passed: its wait is over sooner. nil is the same.
	after func(a A, passed time.Duration) A
	do    func(ctx context.Context, e *engine.Engine, a A) (R, error)
	away  func(a A) A         // what is asked of another gateway; nil is the same
	undo  func(s *Store, r R) // of an answer that nobody heard, or nil
}

// A reply is its JSON with the length before it, and what the verb gave.
type reply struct {
	Error  *wireError `json:"error,omitempty"`
	result []byte     // what pack wrote
}

func (r reply) bytes() []byte {
	text, _ := json.Marshal(r) // strings
	data := binary.LittleEndian.AppendUint32(nil, uint32(len(text)))
	return append(append(data, text...), r.result...)
}

// server is a verb without its types.
type server interface {
	serve(ctx context.Context, s *Store, e *engine.Engine, args []byte) (data []byte, undo func())
}

func (v *verb[A, R]) serve(ctx context.Context, s *Store, e *engine.Engine, args []byte) ([]byte, func()) {
	var a A
	if err := unpack(args, &a); err != nil {
		return refuse(glassq.Errorf(glassq.CodeInternal, "a call of another gateway does not read: %w", err)), nil
	}
	r, err := v.do(ctx, e, a)
	if glassq.CodeOf(err) == glassq.CodeClosed { // here, and not for who waits at another gateway
		err = &deposed{by: "it stopped"}
	}
	result, packErr := pack(nil, r)
	if packErr != nil {
		return refuse(fmt.Errorf("an answer for another gateway cannot be written: %w", packErr)), nil
	}
	data := reply{toWire(err), result}.bytes()
	if v.undo == nil || err != nil {
		return data, nil
	}
	return data, func() { v.undo(s, r) }
}

// refuse is the reply with an error.
func refuse(err error) []byte { return reply{Error: toWire(err)}.bytes() }

// call does the verb where the owner is, and waits for one. remote tells that another gateway did
// it.
func (v *verb[A, R]) call(ctx context.Context, s *Store, a A, once bool) (r R, remote bool, err error) {
	var data []byte
	maybe := false // it may have been done
	for began, first := time.Now(), true; ; first = false {
		if v.after != nil && !first {
			a, began, data = v.after(a, time.Since(began)), time.Now(), nil
		}
		own, owner, changed, lone, err := s.where()
		switch {
		case err != nil:
			return r, false, err
		case own != nil:
			r, err = v.do(ctx, own.engine, a)
			unknown := glassq.CodeOf(err) == glassq.CodeUnknown && !once
			if !again(err) && !unknown && glassq.CodeOf(err) != glassq.CodeClosed || s.isClosed() {
				return r, false, err
			}
			maybe = maybe || unknown
			s.depose(own)
			continue
		case owner != "":
			if data == nil {
				there := a
				if v.away != nil {
					there = v.away(a)
				}
				if data, err = encode(v.name, there); err != nil {
					return r, false, err
				}
			}
			answer, err := s.calls.make(ctx, owner, data, v.waits, changed)
			switch {
			case err == nil:
				r, err = decode[R](answer.join())
				if x, ok := any(r).(leases); ok {
					x.older(time.Since(answer.made))
				}
				ended := errors.Is(err, context.Canceled)
				if why := cmp.Or(ctx.Err(), s.refused()); ended && why != nil {
					return r, true, why
				}
				if !ended && !again(err) && (once || glassq.CodeOf(err) != glassq.CodeUnknown) {
					return r, true, err
				}
				// The call was not done, or may be made twice: there will be another owner.
				maybe = maybe || !ended && !again(err)
				s.disown(owner)
				continue
			case errors.Is(err, errMoved), errors.Is(err, errLost) && !once && ctx.Err() == nil:
				maybe = maybe || errors.Is(err, errLost)
				s.disown(owner)
				continue
			case errors.Is(err, errSilent) && !maybe:
				return r, false, glassq.Errorf(glassq.CodeUnavailable,
					"the gateway that owns the store does not answer this one: see whether both reach the NATS servers, or ask another gateway")
			case errors.Is(err, errLost), errors.Is(err, errSilent), errors.Is(err, errLostSilent):
				return r, false, glassq.Errorf(glassq.CodeUnknown,
					"the gateway that owned the store is gone, or did not answer: the call may be done or not")
			}
			return r, false, err
		}
		select {
		case <-changed:
		case <-time.After(time.Until(lone.Add(patience * s.opt.Beat))):
			if err := s.lone(); err != nil && maybe {
				return r, false, glassq.Errorf(glassq.CodeUnknown, "the call may be done or not: %w", err)
			} else if err != nil {
				return r, false, err
			}
		case <-ctx.Done():
			return r, false, ctx.Err()
		}
	}
}

// sooner is a wait of which some time has passed; one for ever stays so.
func sooner(wait, passed time.Duration) time.Duration {
	if wait <= 0 {
		return wait
	}
	return max(0, wait-passed)
}

// encode makes a call: the length of the verb's name, the name, the arguments.
func encode(name string, args any) ([]byte, error) {
	return pack(append([]byte{byte(len(name))}, name...), args)
}

func decode[R any](data []byte) (r R, err error) {
	var x reply
	if err = unpack(data, &x); err == nil {
		x.result = data[4+binary.LittleEndian.Uint32(data):]
		if len(x.result) > 0 {
			err = unpack(x.result, &r)
		}
	}
	if err != nil {
		return r, glassq.Errorf(glassq.CodeUnknown, "the answer of another gateway does not read, so the call may be done or not: %w", err)
	}
	return r, x.Error.err()
}
