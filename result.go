package glassq

import (
	"encoding/base64"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/glassq/glassq/internal/jsonwalk"
)

// Error classes of results: a closed set, so that summaries can count by them. A worker in another
// language uses the same words.
const (
	ErrClassDNS            = "dns"             // the host name did not resolve
	ErrClassRefused        = "refused"         // nobody listens there
	ErrClassReset          = "reset"           // the peer cut the connection
	ErrClassUnreachable    = "unreachable"     // no route to the host or network
	ErrClassConnectTimeout = "connect_timeout" // no connection in time
	ErrClassTimeout        = "timeout"         // connected, no whole answer in time
	ErrClassTLS            = "tls"             // handshake or certificate
	ErrClassEOF            = "eof"             // the connection ended before the answer did
	ErrClassProtocol       = "protocol"        // the answer is not what the protocol allows
	ErrClassTooLarge       = "too_large"       // the answer is over the size limit
	ErrClassStatus         = "status"          // answered, with a status that counts as failure
	ErrClassBodyMismatch   = "body_mismatch"   // answered, with another body than expected
	ErrClassBlocked        = "blocked"         // not allowed by the worker's own rules
	ErrClassBadTask        = "bad_task"        // the task's body cannot be read
	ErrClassCancelled      = "cancelled"       // given up before it ended
	ErrClassExit           = "exit"            // a command ended with a status other than 0
	ErrClassSignal         = "signal"          // a command was ended by a signal
	ErrClassInternal       = "internal"        // anything else
)

// ErrorClasses lists the closed set, in the order of the documents.
func ErrorClasses() []string {
	return append([]string(nil), errorClasses[:]...)
}

var errorClasses = [...]string{
	ErrClassDNS, ErrClassRefused, ErrClassReset, ErrClassUnreachable, ErrClassConnectTimeout,
	ErrClassTimeout, ErrClassTLS, ErrClassEOF, ErrClassProtocol, ErrClassTooLarge, ErrClassStatus,
	ErrClassBodyMismatch, ErrClassBlocked, ErrClassBadTask, ErrClassCancelled, ErrClassExit,
	ErrClassSignal, ErrClassInternal,
}

// A Result is what a worker found out about one task: the member "o" of a result record.
type Result struct {
	OK   bool
	RT   time.Duration // how long the work took
	Code int           // status, 0 for none
	Err  string        // one of ErrorClasses, "" for none
	Msg  string        // for people, without ephemeral ports
	N    int64         // bytes received
	T    time.Time     // when the work began
	Lag  time.Duration // from the moment it was due to T
	W    string        // the worker's name
	A    int           // the attempt
	More string        // further members of o, as JSON without braces: `"ph":{"dns":0.001}`
}

// AppendResult appends the result record of a task whose body was input to dst, on one line without
// a newline:
//
//	{"i":"http://localhost:8888/?q=7","o":{"ok":1,"rt":0.012345,"code":200,"n":512}}
//
// The member i is a string when the body is text and JSON when it is JSON; other bodies are in b64.
// A body without a type is JSON when it is an object or array, else text when it is UTF-8; what does
// not agree with its type goes as text, or as b64 when it is not UTF-8. Members of o that are zero
// are left out, except ok and rt. It allocates nothing but room in dst.
func AppendResult(dst []byte, input []byte, inputType string, r *Result) []byte {
	dst = append(dst, '{')
	dst = appendInput(dst, input, inputType)
	if r.OK {
		dst = append(dst, `,"o":{"ok":1,"rt":`...)
	} else {
		dst = append(dst, `,"o":{"ok":0,"rt":`...)
	}
	dst = appendMicros(dst, r.RT)
	if r.Code != 0 {
		dst = append(dst, `,"code":`...)
		dst = strconv.AppendInt(dst, int64(r.Code), 10)
	}
	if r.Err != "" {
		dst = append(dst, `,"err":`...)
		dst = appendJSONString(dst, r.Err)
	}
	if r.Msg != "" {
		dst = append(dst, `,"msg":`...)
		dst = appendJSONString(dst, r.Msg)
	}
	if r.N != 0 {
		dst = append(dst, `,"n":`...)
		dst = strconv.AppendInt(dst, r.N, 10)
	}
	if !r.T.IsZero() {
		dst = append(dst, `,"t":`...)
		dst = appendMillis(dst, r.T)
	}
	if r.Lag > 0 {
		dst = append(dst, `,"lag":`...)
		dst = appendMicros(dst, r.Lag)
	}
	if r.W != "" {
		dst = append(dst, `,"w":`...)
		dst = appendJSONString(dst, r.W)
	}
	if r.A != 0 {
		dst = append(dst, `,"a":`...)
		dst = strconv.AppendInt(dst, int64(r.A), 10)
	}
	if len(r.More) > 0 {
		dst = append(append(dst, ','), r.More...)
	}
	return append(dst, '}', '}')
}

// AppendJSONString appends s as a JSON string; bytes that are not UTF-8 become U+FFFD.
func AppendJSONString(dst []byte, s string) []byte { return appendJSONString(dst, s) }

func appendInput(dst, input []byte, typ string) []byte {
	if typ != TypeOctets && utf8.Valid(input) {
		if isJSONType(typ) || typ == "" && opensJSON(input) {
			mark := len(dst)
			dst = append(dst, `"i":`...)
			out, end := compactValue(dst, input, jsonwalk.Space(input, 0), 0)
			if end >= 0 && jsonwalk.Space(input, end) == len(input) {
				return out
			}
			dst = dst[:mark]
		}
		if typ == "" || isJSONType(typ) || strings.HasPrefix(typ, "text/") {
			dst = append(dst, `"i":`...)
			return appendJSONString(dst, input)
		}
	}
	dst = append(dst, `"b64":"`...)
	dst = base64.StdEncoding.AppendEncode(dst, input)
	return append(dst, '"')
}

func isJSONType(typ string) bool {
	if typ == TypeJSON {
		return true
	}
	typ, _, _ = strings.Cut(typ, ";")
	typ = strings.TrimSpace(typ)
	return typ == TypeJSON || strings.HasSuffix(typ, "+json")
}

func opensJSON(b []byte) bool {
	i := jsonwalk.Space(b, 0)
	return i < len(b) && (b[i] == '{' || b[i] == '[')
}

// appendMicros writes d in seconds, to the microsecond.
func appendMicros(dst []byte, d time.Duration) []byte {
	us := max(int64(d/time.Microsecond), 0)
	dst = strconv.AppendInt(dst, us/1e6, 10)
	return appendFraction(dst, us%1e6, 1e5)
}

// appendMillis writes t in seconds since 1970, to the millisecond.
func appendMillis(dst []byte, t time.Time) []byte {
	ms := max(t.UnixMilli(), 0)
	dst = strconv.AppendInt(dst, ms/1000, 10)
	return appendFraction(dst, ms%1000, 100)
}

// appendFraction writes ".012" for 12 with the first digit worth 100, without zeros at the end.
func appendFraction(dst []byte, v, digit int64) []byte {
	if v == 0 {
		return dst
	}
	dst = append(dst, '.')
	for ; v > 0; digit /= 10 {
		dst = append(dst, byte('0'+v/digit))
		v %= digit
	}
	return dst
}

const hexDigits = "0123456789abcdef"

// appendJSONString writes s as a JSON string; bytes that are not UTF-8 become U+FFFD.
func appendJSONString[S string | []byte](dst []byte, s S) []byte {
	dst = append(dst, '"')
	from := 0
	for i := 0; i < len(s); {
		if i+8 <= len(s) { // eight bytes at a time while all are plain
			if x := load8(s[i : i+8]); x&0x8080808080808080 == 0 && jsonwalk.Specials(x) == 0 {
				i += 8
				continue
			}
		}
		c := s[i]
		if c >= 0x20 && c < utf8.RuneSelf && c != '"' && c != '\\' {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			n := runeLen(s, i)
			if n > 0 {
				i += n
				continue
			}
		}
		dst = append(dst, s[from:i]...)
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c == '\n':
			dst = append(dst, '\\', 'n')
		case c == '\r':
			dst = append(dst, '\\', 'r')
		case c == '\t':
			dst = append(dst, '\\', 't')
		case c < 0x20:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		default:
			dst = append(dst, `\ufffd`...)
		}
		i++
		from = i
	}
	dst = append(dst, s[from:]...)
	return append(dst, '"')
}

// load8 is the first eight bytes of s, the first one lowest.
func load8[S string | []byte](s S) uint64 {
	_ = s[7]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

// runeLen is the length of the UTF-8 sequence at s[i], or 0 if it is not one.
func runeLen[S string | []byte](s S, i int) int {
	var buf [utf8.UTFMax]byte
	n := copy(buf[:], s[i:min(i+utf8.UTFMax, len(s))])
	r, size := utf8.DecodeRune(buf[:n])
	if r == utf8.RuneError && size <= 1 {
		return 0
	}
	return size
}

// OutcomeOf decides how a task whose worker returned result is booked. The member o.ok 0 or false is
// Failed. 1, true, absent, anything that is not a JSON object, and no result are OK. Of a member that
// is there twice the last one counts. It does not allocate.
func OutcomeOf(result []byte, contentType string) Outcome {
	if len(result) == 0 || result[0] != '{' && !opensJSON(result) {
		return OK
	}
	if contentType != "" && contentType != TypeJSON && contentType != TypeOctets &&
		!isJSONType(contentType) && !strings.HasPrefix(contentType, "text/") {
		return OK // an image is not a record, whatever its bytes look like
	}
	outcome := OK
	rec := jsonwalk.Walk(result, jsonwalk.Space(result, 0), 1)
	for rec.Next() {
		if !keyIs(rec.Key(), "o") {
			rec.Skip()
			continue
		}
		outcome = OK
		if !rec.At('{') {
			rec.Skip()
			continue
		}
		o := rec.Enter()
		for o.Next() {
			if v := o.Skip(); keyIs(o.Key(), "ok") && len(v) > 0 {
				outcome = outcomeOfValue(v)
			}
		}
		rec.Leave(&o)
	}
	if !rec.Whole() {
		return OK
	}
	return outcome
}

func outcomeOfValue(v []byte) Outcome {
	if v[0] == 'f' {
		return Failed
	}
	if v[0] != '-' && (v[0] < '0' || v[0] > '9') {
		return OK
	}
	for _, c := range v {
		switch {
		case c == 'e' || c == 'E':
			return Failed
		case c >= '1' && c <= '9':
			return OK
		}
	}
	return Failed
}

// ParseResultOut reads the member o of a result record into r: OK, RT, Code, Err, N, T, Lag and A.
// Msg and W are left empty. An ok that is absent is true. It reports whether result is a JSON object with an
// object o; members of other types than expected are taken as absent. It allocates only for an Err
// outside of ErrorClasses.
func ParseResultOut(result []byte, r *Result) bool {
	*r = Result{OK: true}
	found := false
	rec := jsonwalk.Walk(result, jsonwalk.Space(result, 0), 1)
	for rec.Next() {
		if !keyIs(rec.Key(), "o") {
			rec.Skip()
			continue
		}
		*r = Result{OK: true} // of a member that is there twice the last one counts
		if found = rec.At('{'); !found {
			rec.Skip()
			continue
		}
		o := rec.Enter()
		for o.Next() {
			if v := o.Skip(); len(v) > 0 {
				r.Set(o.Key(), v)
			}
		}
		rec.Leave(&o)
	}
	if !rec.Whole() {
		*r = Result{OK: true}
		return false
	}
	return found
}

// Set reads one member of o into r, as ParseResultOut does, for those who walk through o themselves: key is
// raw, between its quotes, and v its value, both valid JSON. A member that Set does not know changes nothing.
func (r *Result) Set(key, v []byte) {
	switch string(key) {
	case "ok":
		r.OK = outcomeOfValue(v) == OK
	case "rt":
		r.RT = time.Duration(scaled(v, 9))
	case "lag":
		r.Lag = time.Duration(scaled(v, 9))
	case "code":
		r.Code = int(scaled(v, 0))
	case "n":
		r.N = scaled(v, 0)
	case "a":
		r.A = int(scaled(v, 0))
	case "t":
		r.T = time.Time{}
		if ns := scaled(v, 9); ns > 0 {
			r.T = time.Unix(0, ns)
		}
	case "err":
		r.Err = errClassOf(v)
	default:
		if len(key) < 6 {
			return // too short for an escape
		}
		for _, name := range [...]string{"ok", "rt", "lag", "code", "n", "a", "t", "err"} {
			if escapedIs(key, name) {
				r.Set([]byte(name), v)
				return
			}
		}
	}
}

func errClassOf(v []byte) string {
	if v[0] != '"' {
		return ""
	}
	v = v[1 : len(v)-1]
	for _, c := range errorClasses {
		if string(v) == c {
			return c
		}
	}
	return string(v)
}

// scaled is the JSON number v times 10^scale, cut to an integer and to the bounds of int64; 0 when v
// is not a number.
func scaled(v []byte, scale int) int64 {
	i, neg := 0, false
	if v[0] == '-' {
		neg = true
		i++
	}
	if i == len(v) || v[i] < '0' || v[i] > '9' {
		return 0
	}
	var m int64
	exp := scale
	point := false
	for ; i < len(v); i++ {
		c := v[i]
		if c == '.' {
			point = true
			continue
		}
		if c == 'e' || c == 'E' {
			break
		}
		if m > (math.MaxInt64-9)/10 {
			if !point {
				exp++
			}
			continue
		}
		m = m*10 + int64(c-'0')
		if point {
			exp--
		}
	}
	if i < len(v) { // the exponent
		i++
		sign := 1
		if v[i] == '+' || v[i] == '-' {
			if v[i] == '-' {
				sign = -1
			}
			i++
		}
		e := 0
		for ; i < len(v); i++ {
			e = min(e*10+int(v[i]-'0'), 100_000_000)
		}
		exp += sign * e
	}
	for ; exp < 0 && m > 0; exp++ {
		m /= 10
	}
	for ; exp > 0 && m > 0; exp-- {
		if m > math.MaxInt64/10 {
			m = math.MaxInt64
			break
		}
		m *= 10
	}
	if neg {
		return -m
	}
	return m
}
