package envelope

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/jsonline"
)

type nackLine struct {
	Token  token    `json:"token"`
	Delay  *seconds `json:"delay,omitzero"` // nil is the engine's backoff
	Reason string   `json:"reason,omitzero"`
	Dead   bool     `json:"dead,omitzero"`
	Undone bool     `json:"undone,omitzero"`
	Hold   seconds  `json:"hold,omitzero"`
}

// AppendNack appends a nack as one line of JSON. A Delay of 0, the queue's backoff, is left out;
// AtOnce is printed as 0.
func AppendNack(dst []byte, n *glassq.Nack) []byte {
	line := nackLine{Token: token(n.Token), Reason: n.Reason, Dead: n.Dead, Undone: n.Undone, Hold: seconds(n.Hold)}
	if n.Delay != 0 {
		delay := seconds(max(n.Delay, 0))
		line.Delay = &delay
	}
	return appendRecord(dst, &line)
}

// ParseNack reads a nack. Without a delay, Delay is 0: the queue's backoff. A delay of 0 is AtOnce.
func ParseNack(text []byte, n *glassq.Nack) error {
	var line nackLine
	err := readRecord(text, &line, &line.Token)
	*n = glassq.Nack{Token: glassq.Token(line.Token), Reason: line.Reason, Dead: line.Dead, Undone: line.Undone,
		Hold: time.Duration(line.Hold)}
	if line.Delay != nil {
		if n.Delay = time.Duration(*line.Delay); n.Delay == 0 {
			n.Delay = glassq.AtOnce
		}
	}
	return err
}

type peekedLine struct {
	Number  uint64  `json:"number"`
	State   string  `json:"state"`
	Attempt int     `json:"attempt"`
	Age     seconds `json:"age"`
	Due     seconds `json:"due,omitzero"`
	Reason  string  `json:"reason,omitzero"`
	Said    *said   `json:"said,omitzero"`
}

// AppendPeeked appends a shown task as one line of JSON: number, state, attempt, age, due, reason,
// said as in AppendLease, and the task in a member of its own.
func AppendPeeked(dst []byte, p *glassq.Peeked) []byte {
	dst, rest := CutPeeked(dst, p)
	return rest.appendAll(dst)
}

// CutPeeked is AppendPeeked without the rest.
func CutPeeked(dst []byte, p *glassq.Peeked) ([]byte, Rest) {
	dst = appendRecord(dst, &peekedLine{p.Number, p.State.String(), p.Attempt, seconds(p.Age), seconds(p.Due), p.Reason,
		saidOf(p.Progress)})
	dst = append(jsonline.AppendKey(dst[:len(dst)-1], "task"), '{')
	if p.Lease != 0 {
		dst = appendSeconds(dst, "lease", p.Lease)
	}
	if p.Delay != 0 {
		dst = appendSeconds(dst, "delay", p.Delay)
	}
	if p.TTL != 0 {
		dst = appendSeconds(dst, "ttl", p.TTL)
	}
	return cutKept(dst, &p.Task, "}}")
}

// ParsePeeked reads what AppendPeeked prints, and passes over members that it does not know.
func ParsePeeked(text []byte, p *glassq.Peeked) error {
	*p = glassq.Peeked{}
	var line struct {
		peekedLine
		Task jsontext.Value `json:"task"`
	}
	if err := json.Unmarshal(text, &line, jsontext.AllowDuplicateNames(true),
		jsontext.AllowInvalidUTF8(true)); err != nil {
		return badRecord(err)
	}
	state, err := glassq.ParseState(line.State)
	if err != nil {
		return err
	}
	*p = glassq.Peeked{
		Number: line.Number, State: state, Attempt: line.Attempt,
		Age: time.Duration(line.Age), Due: time.Duration(line.Due), Reason: line.Reason, Progress: line.Said.progress(),
	}
	var l glassq.Lease // a result's "of" is a word of leases
	err = ParseLease(line.Task, &l)
	p.Task = l.Task
	p.Task.Lease = l.Length
	return err
}

func appendRecord(dst []byte, line any) []byte {
	text, err := json.Marshal(line, jsontext.AllowInvalidUTF8(true))
	if err != nil {
		panic("envelope: " + err.Error()) // texts and numbers alone cannot fail
	}
	return append(dst, text...)
}

// readRecord reads an object whose members are all known, each at most once; null is as good as
// absent.
func readRecord(text []byte, line any, needed *token) error {
	if err := json.Unmarshal(text, line, json.RejectUnknownMembers(true)); err != nil {
		return badRecord(err)
	}
	if needed.Number == 0 {
		return glassq.Errorf(glassq.CodeBadRequest, needToken+", at byte 0")
	}
	return nil
}

// ParseChange reads an object of settings into v, which points to a struct of package glassq. Members
// that v does not have are refused, and so are members that come twice, and those of a run that are
// empty texts. The error is like ParseTask's.
func ParseChange(text []byte, v any) error {
	opt := json.RejectUnknownMembers(true)
	if _, ok := v.(*glassq.RunChange); ok {
		opt = json.JoinOptions(opt, noEmpty)
	}
	if err := json.Unmarshal(text, v, opt); err != nil {
		return badRecord(err)
	}
	return nil
}

// noEmpty refuses texts that are empty: what is told of a run are names, and a name that a variable of
// a shell should have held is not one that was left out.
var noEmpty = json.WithUnmarshalers(json.UnmarshalFromFunc(func(d *jsontext.Decoder, s *string) error {
	if d.PeekKind() != '"' {
		return errors.ErrUnsupported
	}
	t, err := d.ReadToken()
	if err != nil {
		return err
	}
	if *s = t.String(); *s == "" {
		return errors.New("it is empty; leave it out")
	}
	return nil
}))

// badRecord makes a sentence of an error of the decoder: what is wrong with which member, and
// where.
func badRecord(err error) error {
	if e, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		if errors.Is(e.Err, jsontext.ErrDuplicateName) {
			return glassq.Errorf(glassq.CodeBadRequest, "member %q comes twice, at byte %d", e.JSONPointer.LastToken(), e.ByteOffset)
		}
		return glassq.Errorf(glassq.CodeBadRequest, "not JSON: %v, at byte %d", e.Err, e.ByteOffset)
	}
	e, ok := errors.AsType[*json.SemanticError](err)
	if !ok {
		return glassq.Errorf(glassq.CodeBadRequest, "not a record: %w", err)
	}
	why := e.Err
	switch want := wanted(e.GoType); {
	case errors.Is(why, json.ErrUnknownName):
		why = errors.New("there is none of this name here")
	case want != "" && (why == nil || errors.Is(why, strconv.ErrRange) || errors.Is(why, strconv.ErrSyntax)):
		why = errors.New("want " + want)
	case why == nil:
		why = fmt.Errorf("a JSON %s is not what is wanted there", e.JSONKind)
	}
	if e.JSONPointer == "" {
		return glassq.Errorf(glassq.CodeBadRequest, "%w, at byte %d", why, e.ByteOffset)
	}
	return glassq.Errorf(glassq.CodeBadRequest, "member %q: %w, at byte %d", e.JSONPointer.LastToken(), why, e.ByteOffset)
}

// wanted is what the JSON of a value of type t looks like, in words; "" where that is not simple.
func wanted(t reflect.Type) string {
	if t == nil {
		return ""
	}
	switch k := t.Kind(); {
	case k == reflect.Bool:
		return "true or false"
	case k >= reflect.Int && k <= reflect.Int64:
		return "a whole number"
	case k >= reflect.Uint && k <= reflect.Uint64:
		return "a whole number, not negative"
	case k == reflect.Float64:
		return "a number"
	case k == reflect.String:
		return "a string"
	case k == reflect.Struct, k == reflect.Map:
		return "an object"
	}
	return ""
}

// A token is a glassq.Token as JSON: its text.
type token glassq.Token

func (t token) MarshalText() ([]byte, error) { return []byte(glassq.Token(t).String()), nil }

func (t *token) UnmarshalText(text []byte) error {
	tok, err := glassq.ParseToken(string(text))
	*t = token(tok)
	return err
}

// seconds is a duration as JSON: a number of seconds, or when it is read a string like "250ms".
type seconds time.Duration

func (s seconds) MarshalJSON() ([]byte, error) {
	return jsonline.AppendSeconds(nil, time.Duration(s)), nil
}

func (s *seconds) UnmarshalJSON(v []byte) error {
	d, ok := jsonline.Duration(v)
	if !ok && string(v) != "null" {
		return errors.New("want a duration like \"250ms\" or a number of seconds, not negative")
	}
	*s = seconds(d)
	return nil
}
