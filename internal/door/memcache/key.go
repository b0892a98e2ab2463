package memcache

import (
	"bytes"
	"time"

	"github.com/glassq/glassq"
)

// An option is what may follow the name of a queue in a key: queue[/option]…
type option uint32

const (
	optLease option = 1 << iota // <number>: the lease that is meant
	optNack
	optID
	optDelay
	optPrio
	optRun
	optKey
	optCost // cost=<n>
	optType
	optBatch
	optAck
	optOpen
	optClose
	optAbort
	optPeek
	optWait   // t=<ms>
	optLength // lease=<ms>
)

// Which options a command takes.
const (
	optsPut    = optID | optDelay | optPrio | optRun | optKey | optCost | optType | optBatch
	optsResult = optDelay | optPrio | optKey | optType
	optsSet    = optsPut | optAck | optLease | optNack
	optsGet    = optOpen | optClose | optAbort | optPeek | optWait
	optsGets   = optsGet | optLength
)

const (
	maxWait   = 24 * time.Hour // t=
	maxNumber = 1<<53 - 1      // the last lease number
)

// A target is a parsed key. Its slices alias the key.
type target struct {
	queue         []byte
	has           option
	lease         uint64 // of optLease and optAck
	id, run, tag  []byte // tag is that of key=
	contentType   string
	delay, length time.Duration
	wait          time.Duration
	prio          glassq.Priority
	cost          uint32
}

var optionWords = map[string]option{
	"nack": optNack, "batch": optBatch, "open": optOpen, "close": optClose, "abort": optAbort, "peek": optPeek,
	"id": optID, "delay": optDelay, "prio": optPrio, "run": optRun, "key": optKey, "cost": optCost, "type": optType, "ack": optAck,
	"t": optWait, "lease": optLength,
}

const valued = optID | optDelay | optPrio | optRun | optKey | optCost | optType | optAck | optWait | optLength

// parseKey reads key into t and returns what is wrong with it, or "".
func parseKey(key []byte, may option, t *target) (fault string) {
	*t = target{queue: key}
	slash := bytes.IndexByte(key, '/')
	if slash < 0 {
		return ""
	}
	t.queue = key[:slash]
	for rest, more := key[slash+1:], true; more; {
		var word []byte
		word, rest, more = bytes.Cut(rest, []byte{'/'})
		if n, ok := number(word); ok && may&optLease != 0 && t.has&optLease == 0 {
			t.has |= optLease
			t.lease = n
			continue
		}
		name, value, has := bytes.Cut(word, []byte{'='})
		o := optionWords[string(name)]
		switch {
		case o == 0 || o&may == 0 || t.has&o != 0 || has != (o&valued != 0):
			return "unknown option " + printable(word)
		case has && !t.value(o, value):
			return "bad value of option " + printable(word)
		}
		t.has |= o
	}
	return ""
}

// value reads the value of an option.
func (t *target) value(o option, v []byte) bool {
	switch o {
	case optID:
		t.id = v
	case optRun:
		t.run = v
	case optKey:
		t.tag = v
	case optType:
		switch string(v) {
		case "text":
			t.contentType = glassq.TypeText
		case "json":
			t.contentType = glassq.TypeJSON
		case "octets":
			t.contentType = glassq.TypeOctets
		default:
			return false
		}
		return true
	default:
		n, ok := number(v)
		ms := time.Duration(n) * time.Millisecond
		switch o {
		case optAck:
			t.lease = n
			return ok && n > 0 && n <= maxNumber
		case optPrio:
			t.prio = glassq.Level(int(min(n, 10)))
			return ok && n <= 9
		case optCost:
			t.cost = uint32(n)
			return ok && n > 0 && n <= glassq.MaxCost
		case optDelay:
			t.delay = ms
			return ok && n <= uint64(glassq.MaxDelay/time.Millisecond)
		case optWait:
			t.wait = ms
			return ok && n <= uint64(maxWait/time.Millisecond)
		case optLength:
			t.length = ms
			return ok && n >= uint64(glassq.MinLease/time.Millisecond) && n <= uint64(glassq.MaxLease/time.Millisecond)
		}
	}
	return len(v) > 0
}

// printable is what is shown of what a client sent.
func printable(b []byte) string {
	out := make([]byte, 0, min(len(b), 100))
	for _, c := range b[:min(len(b), 100)] {
		if c < ' ' || c >= 0x7f {
			c = '?'
		}
		out = append(out, c)
	}
	return string(out)
}

// ttlOf reads memcached's exptime: 0 never, up to 30 days seconds from now, else seconds since
// 1970. A moment that has passed, or is negative, ends at once.
func ttlOf(exptime int64, now time.Time) time.Duration {
	const relative = 30 * 24 * 60 * 60
	switch {
	case exptime == 0:
		return 0
	case exptime > 0 && exptime <= relative:
		return time.Duration(exptime) * time.Second
	case exptime > 0:
		if ms := exptime - now.Unix(); ms > int64(glassq.MaxDelay/time.Second) {
			return glassq.MaxDelay + 1 // refused
		}
		return max(time.Millisecond, time.Unix(exptime, 0).Sub(now).Truncate(time.Millisecond))
	}
	return time.Millisecond
}
