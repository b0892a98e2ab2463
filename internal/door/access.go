package door

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"

	"github.com/glassq/glassq"
)

// A Verb is what a client wants to do, as far as rights go.
type Verb uint8

const (
	Ask     Verb = iota // health and documents: everybody may
	Work                // put, reserve, ack, nack, extend, and look at queues and runs
	Operate             // purge, redrive and drop a queue, change its settings, cancel a run, copy the store
)

// Access decides who a client is. A server with keys knows those who have one of them; a server without
// takes everybody as a guest. Nothing of it changes after NewAccess; it is safe for concurrent use. A nil
// Access has no keys.
type Access struct {
	keys [][]byte
	sums [][sha256.Size]byte
}

// NewAccess makes the access by any of keys. It panics with an empty one.
func NewAccess(keys ...[]byte) *Access {
	a := &Access{keys: keys}
	for _, k := range keys {
		if len(k) == 0 {
			panic("door: an empty key")
		}
		a.sums = append(a.sums, sha256.Sum256(k))
	}
	return a
}

// Locked tells whether clients need a key.
func (a *Access) Locked() bool { return a != nil && len(a.keys) > 0 }

// A Who is what a client may do. The zero value may ask.
type Who struct{ most Verb }

// WithKey is the client that sent key. Hashes are compared, so that neither the length nor the content of a
// key shows in the time it takes.
func (a *Access) WithKey(key []byte) (Who, error) {
	sum := sha256.Sum256(key)
	match := 0
	for i := range a.sums {
		match |= subtle.ConstantTimeCompare(sum[:], a.sums[i][:])
	}
	if match == 0 {
		return Who{}, glassq.Errorf(glassq.CodeUnauthorized, "this server needs its key")
	}
	return Who{Operate}, nil
}

// WithProof returns the key that proves accepts, for clients that prove that they have one without sending it.
// All keys are tried, whichever fits.
func (a *Access) WithProof(proves func(key []byte) bool) (key []byte, ok bool) {
	for _, k := range a.keys {
		if proves(k) && !ok {
			key, ok = k, true
		}
	}
	return key, ok
}

// Guest is a client of a server without keys. One on this machine may do everything, one on another no more
// than far. An address that is not of TCP is of this machine.
func (a *Access) Guest(addr net.Addr, far Verb) Who {
	if isLocal(addr) {
		return Who{Operate}
	}
	return Who{far}
}

// May returns nil where the client may do verb with queue, and else an error with code forbidden. Today all
// queues are alike.
func (w Who) May(verb Verb, _ string) error {
	if verb <= w.most {
		return nil
	}
	return glassq.Errorf(glassq.CodeForbidden, "forbidden: this needs a key, or a client on the server's own machine")
}

// isLocal tells whether an address is on this machine.
func isLocal(addr net.Addr) bool {
	a, ok := addr.(*net.TCPAddr)
	return !ok || a.IP.IsLoopback()
}
