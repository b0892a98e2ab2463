package envelope

import (
	"fmt"
	"strings"

	"github.com/glassq/glassq/internal/jsonline"
)

// near are names that people, coming from other queues, give to options of a put: without capitals,
// "-" and "_".
var near = map[string]string{
	"prio": "priority", "pri": "priority",
	"retry": "attempts", "retries": "attempts", "tries": "attempts", "maxretries": "attempts", "maxattempts": "attempts",
	"maxtries": "attempts",
	"timeout":  "lease", "ttr": "lease", "leases": "lease", "leasetime": "lease", "visibilitytimeout": "lease",
	"expire": "ttl", "expires": "ttl", "expiry": "ttl", "expiration": "ttl", "exptime": "ttl", "timetolive": "ttl",
	"delays": "delay", "wait": "delay", "delayseconds": "delay", "dealy": "delay",
	"jobid": "id", "taskid": "id", "messageid": "id", "dedupid": "id", "deduplicationid": "id",
	"contenttype": "type", "mimetype": "type",
	"resultqueue": "result", "replyto": "result",
	"runid": "run", "position": "n", "base64": "b64",
}

// Near returns the option of a put that a member of another name probably means, or "" for none.
// Doors with options of other names look them up here too.
func Near(member string) string {
	if len(member) > 40 {
		return ""
	}
	name := strings.NewReplacer("-", "", "_", "").Replace(strings.ToLower(member))
	if word := near[name]; word != "" {
		return word
	}
	if bit := envelopeWord([]byte(name)); bit != 0 && bit&leaseWords == 0 && name != member {
		return name
	}
	for _, word := range []string{"priority", "attempts", "headers", "result"} {
		if oneApart(name, word) {
			return word
		}
	}
	return ""
}

// oneApart tells whether a is b with one letter more, less or other.
func oneApart(a, b string) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	i := 0
	for i < len(a) && a[i] == b[i] {
		i++
	}
	return len(b)-len(a) == 1 && a[i:] == b[i+1:] || len(a) == len(b) && i < len(a) && a[i+1:] == b[i+1:]
}

// Warning says which members of a task's Extra are close to options, "" for none. The task is as
// good as any other: members that the queue does not know are its producer's own.
func Warning(extra []byte) string {
	c := jsonline.ReadText(extra)
	for c.Open('{', "extra"); c.More(); {
		member := string(c.Key())
		if c.Value(); c.Err() != nil {
			break
		}
		if word := Near(member); word != "" {
			return fmt.Sprintf("member %q means nothing to the queue and is kept as your own; the option is called %q", member, word)
		}
	}
	return ""
}
