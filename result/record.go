package result

import (
	"bytes"
	"slices"
	"strconv"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/jsonline"
)

// Error classes: a closed set, so that summaries can count by them. A worker in another language
// uses the same words.
const (
	ClassDNS            = "dns"             // the host name did not resolve
	ClassRefused        = "refused"         // nobody listens there
	ClassReset          = "reset"           // the peer cut the connection
	ClassUnreachable    = "unreachable"     // no route to the host or network
	ClassConnectTimeout = "connect_timeout" // no connection in time
	ClassTimeout        = "timeout"         // connected, no whole answer in time
	ClassTLS            = "tls"             // handshake or certificate
	ClassEOF            = "eof"             // the connection ended before the answer did
	ClassProtocol       = "protocol"        // the answer is not what the protocol allows
	ClassTooLarge       = "too_large"       // the answer is over the size limit
	ClassStatus         = "status"          // answered, with a status that counts as failure
	ClassBodyMismatch   = "body_mismatch"   // answered, with another body than expected
	ClassBlocked        = "blocked"         // not allowed by the worker's own rules
	ClassBadTask        = "bad_task"        // the task's body cannot be read
	ClassCancelled      = "cancelled"       // given up before it ended
	ClassExit           = "exit"            // a command ended with a status other than 0
	ClassSignal         = "signal"          // a command was ended by a signal
	ClassError          = "error"           // the code of an application says that the task failed
	ClassInternal       = "internal"        // anything else
)

// Classes lists the words of this module, in the order of the documents. Results may have others.
func Classes() []string { return slices.Clone(classes[:]) }

var classes = [...]string{
	ClassDNS, ClassRefused, ClassReset, ClassUnreachable, ClassConnectTimeout, ClassTimeout, ClassTLS, ClassEOF,
	ClassProtocol, ClassTooLarge, ClassStatus, ClassBodyMismatch, ClassBlocked, ClassBadTask, ClassCancelled,
	ClassExit, ClassSignal, ClassError, ClassInternal,
}

// A Record is what a worker found out about one task: the member "o" of its result.
type Record struct {
	OK      bool
	Took    time.Duration // how long the work took (rt)
	Code    int           // status, 0 for none
	Class   string        // one of Classes, or a word of an application; "" for none (err)
	Message string        // for people, without ephemeral ports (msg)
	Bytes   int64         // bytes received (n)
	Began   time.Time     // when the work began (t)
	Lag     time.Duration // from the moment it was due to Began
	Worker  string        // the worker's name (w)
	Attempt int           // from 1 (a)
	More    string        // further members of o, as JSON without braces: `"ph":{"dns":0.001}`
}

// Append appends the result record of a task whose body was input to dst, on one line without a
// newline. The member i is a string when the body is text and JSON when it is JSON; octets are in
// b64. Members of o that are zero are left out, except ok and rt. It allocates nothing but room in
// dst.
func Append(dst []byte, input []byte, inputType string, r *Record) []byte {
	dst = appendInput(append(dst, '{'), input, inputType)
	if r.OK {
		dst = append(dst, `,"o":{"ok":1,"rt":`...)
	} else {
		dst = append(dst, `,"o":{"ok":0,"rt":`...)
	}
	dst = appendMicros(dst, r.Took)
	if r.Code != 0 {
		dst = strconv.AppendInt(jsonline.AppendKey(dst, "code"), int64(r.Code), 10)
	}
	if r.Class != "" {
		dst = jsonline.AppendString(jsonline.AppendKey(dst, "err"), r.Class)
	}
	if r.Message != "" {
		dst = jsonline.AppendString(jsonline.AppendKey(dst, "msg"), r.Message)
	}
	if r.Bytes != 0 {
		dst = strconv.AppendInt(jsonline.AppendKey(dst, "n"), r.Bytes, 10)
	}
	dst = appendCircumstances(dst, r, has{})
	if len(r.More) > 0 {
		dst = append(append(dst, ','), r.More...)
	}
	return append(dst, '}', '}')
}

// has says which circumstances an object o has already.
type has struct{ t, lag, w, a bool }

// appendCircumstances appends what a worker's surroundings know of the work: when, how late, where,
// which attempt.
func appendCircumstances(dst []byte, r *Record, h has) []byte {
	if !h.t && !r.Began.IsZero() {
		ms := time.Duration(r.Began.UnixMilli()) * time.Millisecond
		dst = jsonline.AppendSeconds(jsonline.AppendKey(dst, "t"), ms)
	}
	if !h.lag && r.Lag > 0 {
		dst = appendMicros(jsonline.AppendKey(dst, "lag"), r.Lag)
	}
	if !h.w && r.Worker != "" {
		dst = jsonline.AppendString(jsonline.AppendKey(dst, "w"), r.Worker)
	}
	if !h.a && r.Attempt != 0 {
		dst = strconv.AppendInt(jsonline.AppendKey(dst, "a"), int64(r.Attempt), 10)
	}
	return dst
}

func appendMicros(dst []byte, d time.Duration) []byte {
	return jsonline.AppendSeconds(dst, d.Truncate(time.Microsecond))
}

func appendInput(dst, input []byte, typ string) []byte {
	switch jsonline.FormOf(input, typ) {
	case jsonline.JSON:
		return jsonline.AppendLine(append(dst, `"i":`...), input)
	case jsonline.Text:
		return jsonline.AppendString(append(dst, `"i":`...), input)
	}
	return jsonline.AppendBase64(append(dst, `"b64":`...), input)
}

// OutcomeOf decides how a task whose worker returned result is booked. The member o.ok 0 or false
// is Failed. 1, true, absent, anything that is not a JSON object, a type that is neither JSON nor
// text, and no result are OK. It does not allocate.
func OutcomeOf(result []byte, contentType string) glassq.Outcome {
	outcome := glassq.OK
	if !mayFail(result) || !jsonline.HoldsRecord(result, contentType) {
		return outcome
	}
	if !eachOfO(result, func(bool) { outcome = glassq.OK }, func(key, v []byte) {
		if string(key) == "ok" {
			outcome = outcomeOfValue(v)
		}
	}) {
		return glassq.OK
	}
	return outcome
}

// mayFail reports whether there may be a member ok in result that is 0 or false. Most results have
// none, and need not be read for their outcome.
func mayFail(result []byte) bool {
	if bytes.Contains(result, []byte(`\u`)) {
		return true // the name may be written with escapes
	}
	for {
		i := bytes.Index(result, []byte(`"ok"`))
		if i < 0 {
			return false
		}
		result = bytes.TrimLeft(result[i+len(`"ok"`):], ": \t\r\n")
		if len(result) > 0 && (result[0] == 'f' || result[0] == '0' || result[0] == '-') {
			return true
		}
	}
}

// eachOfO calls member for every member of o, and begin before that with whether o is an object;
// where o comes twice, for each. It reports whether record is one JSON object.
func eachOfO(record []byte, begin func(object bool), member func(key, value []byte)) bool {
	c := jsonline.Read(record)
	for c.Open('{', "a record"); c.More(); {
		if string(c.Key()) != "o" {
			c.Value()
			continue
		}
		object := c.At('{')
		if begin(object); !object {
			c.Value()
			continue
		}
		for c.Open('{', "o"); c.More(); {
			if key, v := c.Key(), c.Value(); v != nil {
				member(key, v)
			}
		}
	}
	return c.Err() == nil
}

func outcomeOfValue(v []byte) glassq.Outcome {
	if v[0] == 'f' {
		return glassq.Failed
	}
	if v[0] != '-' && (v[0] < '0' || v[0] > '9') {
		return glassq.OK
	}
	for _, c := range v {
		switch {
		case c == 'e' || c == 'E':
			return glassq.Failed
		case c >= '1' && c <= '9':
			return glassq.OK
		}
	}
	return glassq.Failed
}

// Parse reads the member o of a result record into r: OK, Took, Code, Class, Bytes, Began, Lag and
// Attempt. Message and Worker are left empty. An ok that is absent is true. It reports whether
// result is a JSON object with an object o; members of other types than expected are taken as
// absent. It allocates only for a Class outside of Classes.
func Parse(result []byte, r *Record) bool {
	*r = Record{OK: true}
	found := false
	whole := eachOfO(result, func(object bool) { *r, found = Record{OK: true}, object }, r.Set)
	if !whole {
		*r = Record{OK: true}
	}
	return whole && found
}

// Set reads one member of o into r, as Parse does, for those who walk through o themselves to find
// members of their own: name is what its name says, and value its JSON value as it was written. A
// member that is none of Parse's changes nothing.
func (r *Record) Set(name, value []byte) {
	switch string(name) {
	case "ok":
		r.OK = outcomeOfValue(value) == glassq.OK
	case "rt":
		r.Took, _ = jsonline.Seconds(value)
	case "lag":
		r.Lag, _ = jsonline.Seconds(value)
	case "code":
		r.Code = int(jsonline.Int(value))
	case "n":
		r.Bytes = jsonline.Int(value)
	case "a":
		r.Attempt = int(jsonline.Int(value))
	case "t":
		r.Began = time.Time{}
		if d, _ := jsonline.Seconds(value); d > 0 {
			r.Began = time.Unix(0, int64(d))
		}
	case "err":
		r.Class = classOf(value)
	}
}

func classOf(v []byte) string {
	if v[0] != '"' {
		return ""
	}
	for _, c := range classes {
		if string(v[1:len(v)-1]) == c {
			return c
		}
	}
	return string(jsonline.Plain(v))
}
