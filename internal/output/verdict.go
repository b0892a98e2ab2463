package output

import (
	"bytes"
	"strconv"
	"time"

	"github.com/glassq/glassq"
)

// A verdict is what a result says about its task, as far as the summary needs it.
type verdict struct {
	ok    bool
	timed bool    // rt was there
	rt    float64 // seconds
	code  int     // 0 when there was none
	err   []byte  // error class, part of the body; nil when there was none
}

// maxClass is the longest error class that is taken as one.
const maxClass = 64

// verdictOf reads member o of a worker's object. Only o.ok 0 or false is failed, as the Broker has it.
func verdictOf(body []byte, obj *object) verdict {
	v := verdict{ok: true}
	if obj == nil || !obj.o.isObject(body) {
		return v
	}
	scanMembers(body, obj.o.start, 2, func(key []byte, _, at span) {
		val := body[at.start:at.end]
		switch string(key) {
		case "ok":
			v.ok = !isFalse(val)
		case "rt":
			f, err := strconv.ParseFloat(string(val), 64)
			v.rt, v.timed = f, err == nil && f >= 0
		case "code":
			v.code, _ = strconv.Atoi(string(val))
		case "err":
			if len(val) > 2 && val[0] == '"' && len(val) <= maxClass+2 && bytes.IndexByte(val, '\\') < 0 {
				v.err = val[1 : len(val)-1]
			}
		}
	})
	return v
}

// isFalse reports whether a JSON value is false or a number that is zero.
func isFalse(val []byte) bool {
	if len(val) == 1 {
		return val[0] == '0'
	}
	if string(val) == "false" {
		return true
	}
	if c := val[0]; c != '-' && c != '0' {
		return false
	}
	f, err := strconv.ParseFloat(string(val), 64)
	return err == nil && f == 0
}

// position returns the run and the position in it that a result is of; ok is false for a result of a
// task that has none.
func position(l *glassq.Lease) (n uint32, ok bool) {
	if l.Dense {
		return l.N, true
	}
	if l.Run == "" {
		return 0, false
	}
	run, n, ok := glassq.ParseDenseID(l.ID)
	return n, ok && run == l.Run
}

func seconds(s float64) time.Duration {
	if s > 1e9 {
		s = 1e9
	}
	return time.Duration(s * float64(time.Second))
}
