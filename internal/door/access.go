package door

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"log/slog"
	"net"
	"slices"
	"sync/atomic"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/rights"
)

// Access decides who a client is. A server with keys or tokens knows those who have one of them; a
// server without takes everybody as a guest. It is safe for concurrent use. A nil Access has no
// keys.
type Access struct {
	keys   atomic.Pointer[keyset] // nil for none
	tokens *rights.Register       // nil for none
}

// A keyset is never changed, but for over.
type keyset struct {
	keys [][]byte
	sums [][sha256.Size]byte
	over atomic.Bool // others are in its place
}

// NewAccess makes the access by any of keys. It panics with an empty one.
func NewAccess(keys ...[]byte) *Access {
	a := &Access{}
	if len(keys) > 0 {
		a.keys.Store(newKeyset(keys))
	}
	return a
}

func newKeyset(keys [][]byte) *keyset {
	s := &keyset{keys: keys}
	for _, k := range keys {
		if len(k) == 0 {
			panic("door: an empty key")
		}
		s.sums = append(s.sums, sha256.Sum256(k))
	}
	return s
}

// SetKeys puts keys, at least one, in the place of those of before, of which there must have been
// some too. Clients with one of those may do nothing more. It changes nothing, and returns false,
// when the keys are the same.
func (a *Access) SetKeys(keys ...[]byte) bool {
	old := a.keys.Load()
	if slices.EqualFunc(old.keys, keys, bytes.Equal) {
		return false
	}
	a.keys.Store(newKeyset(keys))
	old.over.Store(true)
	return true
}

// WithTokens lets in those with a token, too, and returns a. nil changes nothing. It must be called
// before a is used.
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

// Refused counts the puts that the rates of tokens refused: for their number, and for their bytes.
func (a *Access) Refused() (puts, bytes uint64) {
	if a == nil || a.tokens == nil {
		return 0, 0
	}
	r := a.tokens.Refused()
	return r.Puts.Load(), r.Bytes.Load()
}

// Locked tells whether clients need a key.
func (a *Access) Locked() bool { return a != nil && (a.keys.Load() != nil || a.tokens != nil) }

// A Who is what a client may do. The zero value may ask.
type Who struct {
	may   rights.Scope
	names rights.Patterns
	all   bool         // names is everything
	live  *rights.Live // nil for one with the server's key, and for a guest
	key   *keyset      // of one with the server's key; nil for others
}

var errKey = glassq.Errorf(glassq.CodeUnauthorized, "the key is none of this server's: it is wrong, or was revoked")

var allNames = rights.Patterns{"*"}

func everything(may rights.Scope) Who { return Who{may: may, names: allNames, all: true} }

func holder(l *rights.Live) Who {
	return Who{may: l.Scope(), names: l.Queues, all: l.Queues.All(), live: l}
}

func (s *keyset) holder() Who {
	who := everything(rights.Any | rights.Admin)
	who.key = s
	return who
}

// WithKey is the client that sent key, the server's or a token. Hashes are compared, so that
// neither the length nor the content of a key shows in the time it takes. Errors have code
// unauthorized.
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
	match, set := 0, a.keys.Load()
	if set == nil {
		return Who{}, errKey
	}
	for i := range set.sums {
		match |= subtle.ConstantTimeCompare(sum[:], set.sums[i][:])
	}
	if match == 0 {
		return Who{}, errKey
	}
	return set.holder(), nil
}

// WithCertificate is the client that has shown a certificate with the name of a token. ok is false
// for one without a certificate that was verified.
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

// WithProof returns the key that proves accepts, for clients that prove that they have one without
// sending it. All keys are tried, whichever fits.
func (a *Access) WithProof(proves func(key []byte) bool) (key []byte, who Who, ok bool) {
	if set := a.keys.Load(); set != nil {
		for _, k := range set.keys {
			if proves(k) && !ok {
				key, who, ok = k, set.holder(), true
			}
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

// Guest is a client of a server without keys. One on this machine may do everything, one on another
// no more than far. An address that is not of TCP is of this machine.
func (a *Access) Guest(addr net.Addr, far rights.Scope) Who {
	if isLocal(addr) {
		return everything(rights.Any | rights.Admin)
	}
	return everything(far)
}

// May returns nil where the client may do verb with name, a queue or a run, "" for none. Else the
// error has code forbidden and tells the scope that is lacking; or unauthorized, when the client's
// token is over. It allocates nothing where the client may.
func (w Who) May(verb rights.Verb, name string) error {
	rule := &rights.Rules[verb]
	if w.ended() {
		return w.Over()
	}
	if rule.Needs == 0 || w.may&rule.Needs != 0 && (w.all || rule.Of == rights.OfNothing ||
		rule.Of != rights.OfAll && w.names.Covers(name)) {
		return nil
	}
	return w.lacks(rule, name)
}

// MayAtAll is May with a name that is still to come; that one is to be asked about when it is
// there.
func (w Who) MayAtAll(verb rights.Verb) error {
	if rule := &rights.Rules[verb]; rule.Of == rights.OfAll || w.may&rule.Needs == 0 || w.ended() {
		return w.May(verb, "")
	}
	return nil
}

// Over is the error with code unauthorized of a client whose token is revoked or has expired, and
// nil for others.
func (w Who) Over() error {
	switch {
	case !w.ended():
		return nil
	case w.live == nil:
		return glassq.Errorf(glassq.CodeUnauthorized, "the key of this server is another one now")
	}
	return glassq.Errorf(glassq.CodeUnauthorized, "token %s was revoked or changed, or has expired", w.live.Name)
}

// ended tells whether the client's token is over, or its key replaced.
func (w Who) ended() bool { return w.live != nil && w.live.Over() || w.key != nil && w.key.over.Load() }

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
	rights.Rates
}

// Identity says who the client is, on a server that is locked or not.
func (w Who) Identity(locked bool) Identity {
	i := Identity{Name: w.name(locked), May: w.may.Names(), Queues: w.names}
	if w.live != nil {
		i.ID, i.Expires, i.Rates = w.live.ID, w.live.Expires, w.live.Rates()
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
