package door

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"log/slog"
	"net"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/rights"
)

// Access decides who a client is. A server with keys or tokens knows those who have one of them; a server without
// takes everybody as a guest. It is safe for concurrent use. A nil Access has no keys.
type Access struct {
	keys   [][]byte
	sums   [][sha256.Size]byte
	tokens *rights.Register // nil for none
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

// WithTokens lets in those with a token, too, and returns a. nil changes nothing. It must be called before a is used.
func (a *Access) WithTokens(r *rights.Register) *Access {
	a.tokens = r
	return a
}

// Run follows the tokens until ctx is done.
func (a *Access) Run(ctx context.Context, log *slog.Logger) {
	if a.tokens != nil {
		a.tokens.Run(ctx, log)
	}
}

// Locked tells whether clients need a key.
func (a *Access) Locked() bool { return a != nil && (len(a.keys) > 0 || a.tokens != nil) }

// A Who is what a client may do. The zero value may ask.
type Who struct {
	may   rights.Scope
	names rights.Patterns
	all   bool         // names is everything
	live  *rights.Live // nil for one with the server's key, and for a guest
}

var errKey = glassq.Errorf(glassq.CodeUnauthorized, "the key is none of this server's: it is wrong, or was revoked")

func everything(may rights.Scope) Who { return Who{may: may, names: rights.Patterns{"*"}, all: true} }

func holder(l *rights.Live) Who { return Who{l.Scope(), l.Queues, l.Queues.All(), l} }

// WithKey is the client that sent key, the server's or a token. Hashes are compared, so that neither the length nor
// the content of a key shows in the time it takes. Errors have code unauthorized.
func (a *Access) WithKey(key []byte) (Who, error) {
	if a.tokens != nil {
		if l, err := a.tokens.Find(key); l != nil || err != nil {
			if err != nil {
				return Who{}, err
			}
			return holder(l), nil
		}
	}
	sum := sha256.Sum256(key)
	match := 0
	for i := range a.sums {
		match |= subtle.ConstantTimeCompare(sum[:], a.sums[i][:])
	}
	if match == 0 {
		return Who{}, errKey
	}
	return everything(rights.Any | rights.Admin), nil
}

// WithCertificate is the client that has shown a certificate with the name of a token. ok is false for one without a
// certificate that was verified.
func (a *Access) WithCertificate(state *tls.ConnectionState) (who Who, ok bool, err error) {
	if state == nil || len(state.VerifiedChains) == 0 || a.tokens == nil {
		return Who{}, false, nil
	}
	name := state.VerifiedChains[0][0].Subject.CommonName
	if l := a.tokens.Named(name); l != nil {
		return holder(l), true, nil
	}
	return Who{}, false, glassq.Errorf(glassq.CodeUnauthorized, "the client certificate is of %.60q, and no valid token has that name", name)
}

// WithProof returns the key that proves accepts, for clients that prove that they have one without sending it.
// All keys are tried, whichever fits.
func (a *Access) WithProof(proves func(key []byte) bool) (key []byte, who Who, ok bool) {
	for _, k := range a.keys {
		if proves(k) && !ok {
			key, who, ok = k, everything(rights.Any|rights.Admin), true
		}
	}
	if a.tokens == nil {
		return key, who, ok
	}
	now := time.Now()
	for _, l := range a.tokens.Manager() {
		if proves(l.Raw) && !ok && !l.Over() && !l.Expired(now) {
			key, who, ok = l.Raw, holder(l), true
		}
	}
	return key, who, ok
}

// Guest is a client of a server without keys. One on this machine may do everything, one on another no more
// than far. An address that is not of TCP is of this machine.
func (a *Access) Guest(addr net.Addr, far rights.Scope) Who {
	if isLocal(addr) {
		return everything(rights.Any | rights.Admin)
	}
	return everything(far)
}

// May returns nil where the client may do verb with name, a queue or a run, "" for none. Else the error has code
// forbidden and tells the scope that is lacking; or unauthorized, when the client's token is over. It allocates
// nothing where the client may.
func (w Who) May(verb rights.Verb, name string) error {
	rule := &rights.Rules[verb]
	if w.live != nil && w.live.Over() {
		return w.Over()
	}
	if rule.Needs == 0 || w.may&rule.Needs != 0 && (w.all || rule.Of == rights.OfNothing ||
		rule.Of != rights.OfAll && w.names.Covers(name)) {
		return nil
	}
	return w.lacks(rule, name)
}

// MayAtAll is May with a name that is still to come; that one is to be asked about when it is there.
func (w Who) MayAtAll(verb rights.Verb) error {
	if rule := &rights.Rules[verb]; rule.Of == rights.OfAll || w.may&rule.Needs == 0 || w.live != nil && w.live.Over() {
		return w.May(verb, "")
	}
	return nil
}

// Over is the error with code unauthorized of a client whose token is revoked or has expired, and nil for others.
func (w Who) Over() error {
	if w.live == nil || !w.live.Over() {
		return nil
	}
	return glassq.Errorf(glassq.CodeUnauthorized, "token %s was revoked or changed, or has expired", w.live.Name)
}

func (w Who) lacks(rule *rights.Rule, name string) error {
	switch {
	case w.live == nil:
		return glassq.Errorf(glassq.CodeForbidden, "forbidden: this needs a key, or a client on the server's own machine")
	case rule.Of == rights.OfAll:
		name = "every queue"
	case name == "":
		name = "this"
	}
	return glassq.Errorf(glassq.CodeForbidden, "forbidden: token %s lacks the scope %s for %.200s", w.live.Name, rule.Needs, name)
}

// sees tells whether a name is among what the client may see in a list.
func (w Who) sees(verb rights.Verb, name string) bool {
	return w.all || w.may&rights.Rules[verb].Needs != 0 && w.names.Covers(name)
}

// Whole tells whether all names are alike to the client, so that they need not be looked at.
func (w Who) Whole() bool { return w.all }

// Within is ctx, which also ends when the client's token is over. The caller must call end.
func (w Who) Within(ctx context.Context) (_ context.Context, end func()) {
	if w.live == nil {
		return ctx, func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	stop := w.live.AfterDone(cancel)
	return ctx, func() {
		stop()
		cancel()
	}
}

// An Identity is what a client is told of itself.
type Identity struct {
	Name    string          `json:"name"` // of the token; "key" with the server's key, "guest" without any
	ID      string          `json:"id,omitempty"`
	May     []string        `json:"may"`
	Queues  rights.Patterns `json:"queues"`
	Expires time.Time       `json:"expires,omitzero"`
}

// Identity says who the client is, on a server that is locked or not.
func (w Who) Identity(locked bool) Identity {
	i := Identity{Name: w.name(locked), May: w.may.Names(), Queues: w.names}
	if w.live != nil {
		i.ID, i.Expires = w.live.ID, w.live.Expires
	}
	return i
}

// name is Identity.Name.
func (w Who) name(locked bool) string {
	switch {
	case w.live != nil:
		return w.live.Name
	case locked:
		return "key"
	}
	return "guest"
}

// isLocal tells whether an address is on this machine.
func isLocal(addr net.Addr) bool {
	a, ok := addr.(*net.TCPAddr)
	return !ok || a.IP.IsLoopback()
}
