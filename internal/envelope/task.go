// Package envelope is the JSON form of tasks, leases and verbs, the same on every door: what a put
// takes and a reserve prints.
//
// A line of it is one object. The package knows no door and no engine, and checks the form only:
// bounds of values are the broker's business.
package envelope

import (
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/jsonline"
)

// AppendTask appends the put envelope of t, one line of JSON without a line break.
//
// The body is printed in its form (see jsonline.FormOf): text as a string, JSON as the value that
// it is, octets as base64 in a member b64. The member type is printed only where the form does not
// imply it. Members of Extra that are words of the envelope are left out, and an Extra that is not
// a JSON object is left out as a whole.
func AppendTask(dst []byte, t *glassq.Task) []byte {
	dst = append(dst, '{')
	if t.Queue != "" {
		dst = appendString(dst, "queue", t.Queue)
	}
	if t.ID != "" && !t.Dense {
		dst = appendString(dst, "id", t.ID)
	}
	dst = appendRun(dst, t)
	if t.Delay != 0 {
		dst = appendAsked(dst, "delay", t.Delay)
	}
	if t.TTL != 0 {
		dst = appendAsked(dst, "ttl", t.TTL)
	}
	if t.Lease != 0 {
		dst = appendAsked(dst, "lease", t.Lease)
	}
	dst, rest := appendRest(dst, t, "}")
	return rest.appendAll(dst)
}

func appendString[S ~string | ~[]byte](dst []byte, key string, value S) []byte {
	return jsonline.AppendString(jsonline.AppendKey(dst, key), value)
}

func appendSeconds(dst []byte, key string, d time.Duration) []byte {
	return jsonline.AppendSeconds(jsonline.AppendKey(dst, key), d)
}

// appendAsked prints a negative duration as one, for the other end to refuse.
func appendAsked(dst []byte, key string, d time.Duration) []byte {
	dst = jsonline.AppendKey(dst, key)
	if d < 0 {
		dst, d = append(dst, '-'), max(-d, 0)
	}
	return jsonline.AppendSeconds(dst, d)
}

func appendRun(dst []byte, t *glassq.Task) []byte {
	if t.Run != "" {
		dst = appendString(dst, "run", t.Run)
	}
	if r := t.Range; r != nil {
		dst = append(jsonline.AppendKey(dst, "range"), `{"from":`...)
		dst = strconv.AppendUint(dst, uint64(t.Position), 10)
		dst = strconv.AppendUint(append(dst, `,"count":`...), r.Count, 10)
		if r.Add > 0 {
			dst = strconv.AppendUint(append(dst, `,"add":`...), r.Add, 10)
		}
		dst = append(dst, '}')
	} else if t.Dense {
		dst = strconv.AppendUint(jsonline.AppendKey(dst, "n"), uint64(t.Position), 10)
	}
	return dst
}

// appendRest appends the members that puts and leases print alike, but for the body, which is the
// last one, and for end, which follows it.
func appendRest(dst []byte, t *glassq.Task, end string) ([]byte, Rest) {
	if t.Priority != 0 && t.Priority != glassq.PriorityDefault {
		dst = strconv.AppendInt(jsonline.AppendKey(dst, "priority"), int64(t.Priority.Level()), 10)
	}
	if t.Attempts != 0 {
		dst = strconv.AppendInt(jsonline.AppendKey(dst, "attempts"), int64(t.Attempts), 10)
	}
	if t.ResultQueue != "" {
		dst = appendString(dst, "result", t.ResultQueue)
	}
	if t.Key != "" {
		dst = appendString(dst, "key", t.Key)
	}
	if t.Cost > 1 {
		dst = strconv.AppendUint(jsonline.AppendKey(dst, "cost"), uint64(t.Cost), 10)
	}
	if t.Flags != 0 {
		dst = strconv.AppendUint(jsonline.AppendKey(dst, "flags"), uint64(t.Flags), 10)
	}
	dst = appendHeaders(dst, t.Headers)
	if len(t.Extra) > 0 {
		dst = appendExtra(dst, t.Extra)
	}
	return cutBody(dst, t, end)
}

func appendHeaders(dst []byte, headers map[string]string) []byte {
	if len(headers) == 0 {
		return dst
	}
	dst = append(jsonline.AppendKey(dst, "headers"), '{')
	for _, k := range slices.Sorted(maps.Keys(headers)) {
		if dst[len(dst)-1] != '{' {
			dst = append(dst, ',')
		}
		dst = append(jsonline.AppendString(dst, k), ':')
		dst = jsonline.AppendString(dst, headers[k])
	}
	return append(dst, '}')
}

func appendExtra(dst, extra []byte) []byte {
	at := len(dst)
	c := jsonline.ReadText(extra)
	for c.Open('{', "extra"); c.More(); {
		key := c.Key()
		raw := extra[c.From:c.To]
		value := c.Value()
		if c.Err() != nil || envelopeWord(key) != 0 {
			continue
		}
		if dst[len(dst)-1] != '{' {
			dst = append(dst, ',')
		}
		dst = append(append(dst, raw...), ':')
		dst = jsonline.AppendLine(dst, value)
	}
	if c.Err() != nil {
		dst = dst[:at]
	}
	return dst
}

// Bits of the words of the envelope, to refuse a member that comes twice.
const (
	wordBody = 1 << iota
	wordB64
	wordQueue
	wordID
	wordN
	wordRun
	wordType
	wordPriority
	wordDelay
	wordTTL
	wordAttempts
	wordLease
	wordResult
	wordHeaders
	wordKey
	wordFlags
	wordCost
	wordRange
	wordToken // this and the following are words of a lease
	wordAttempt
	wordAge
	wordLate
	wordOf
	wordSaid

	leaseWords = wordToken | wordAttempt | wordAge | wordLate | wordOf | wordSaid
)

// envelopeWord returns the bit of a member that has a meaning here, 0 for an unknown one.
func envelopeWord(key []byte) uint32 {
	switch string(key) {
	case "body":
		return wordBody
	case "b64":
		return wordB64
	case "queue":
		return wordQueue
	case "id":
		return wordID
	case "n":
		return wordN
	case "run":
		return wordRun
	case "type":
		return wordType
	case "priority":
		return wordPriority
	case "delay":
		return wordDelay
	case "ttl":
		return wordTTL
	case "attempts":
		return wordAttempts
	case "lease":
		return wordLease
	case "result":
		return wordResult
	case "headers":
		return wordHeaders
	case "key":
		return wordKey
	case "flags":
		return wordFlags
	case "cost":
		return wordCost
	case "range":
		return wordRange
	case "token":
		return wordToken
	case "attempt":
		return wordAttempt
	case "age":
		return wordAge
	case "late":
		return wordLate
	case "of":
		return wordOf
	case "said":
		return wordSaid
	}
	return 0
}
