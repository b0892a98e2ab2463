package audit

import (
	"context"
	"sync"
	"time"
)

const (
	loginEvery = 10 * time.Minute // the same login is one line in that time
	maxLogins  = 1000             // lines of logins in that time
)

// ActionLogin is the action of a client that has shown a key or a token, or a wrong one.
const ActionLogin = "login"

// Logins takes logins, which programs do by the thousand: in ten minutes, each who, door, address
// and outcome is one line, and all together are 1,000. The zero value with a Log is ready; it is
// safe for concurrent use.
type Logins struct {
	Log *Log

	mu    sync.Mutex
	since time.Time
	seen  map[Entry]bool // with neither time nor count
}

// Note takes a login.
func (n *Logins) Note(ctx context.Context, e Entry) {
	if n.Log == nil {
		return
	}
	e.Action, e.Time = ActionLogin, time.Time{}
	if n.isNew(e, time.Now()) {
		n.Log.Note(ctx, e)
	}
}

func (n *Logins) isNew(e Entry, now time.Time) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if now.Sub(n.since) >= loginEvery {
		n.since, n.seen = now, map[Entry]bool{}
	}
	if n.seen[e] || len(n.seen) >= maxLogins {
		return false
	}
	n.seen[e] = true
	return true
}
