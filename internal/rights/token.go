// Package rights keeps who may do what: tokens with scopes on queues, the file that holds them, and
// the table of what each verb needs.
//
// A token is a public id and a secret of 260 random bits. The file keeps the SHA-256 of the secret,
// so that a copy of the file lets nobody in. A [Register] is the file as a running server sees it:
// a token that is revoked or expires ends within a second, with whatever was let in by it. The
// package knows names and verbs; it knows no connection.
package rights

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"github.com/glassq/glassq"
)

// A Scope is a set of what a token may do with its queues and runs.
type Scope uint8

const (
	Put   Scope = 1 << iota // put tasks, make and seal runs
	Work                    // reserve, ack, nack and extend
	Read                    // look at tasks
	Admin                   // settings, purge, redrive, drop, cancel; it includes the others

	// Any is what those verbs need that each of the scopes may do.
	Any = Put | Work | Read
	all = Any | Admin
)

var scopeNames = []struct {
	scope Scope
	name  string
}{{Put, "put"}, {Work, "work"}, {Read, "read"}, {Admin, "admin"}}

// Names are the words of the scopes in s.
func (s Scope) Names() (names []string) {
	for _, n := range scopeNames {
		if s&n.scope != 0 {
			names = append(names, n.name)
		}
	}
	return names
}

// String is what a verb needs that any of s may do: "put, work or read".
func (s Scope) String() string {
	names := s.Names()
	if last := len(names) - 1; last > 0 {
		return strings.Join(names[:last], ", ") + " or " + names[last]
	}
	return strings.Join(names, "")
}

// ParseScopes reads the words of scopes, of which there must be one. The error has code
// bad_request.
func ParseScopes(names []string) (s Scope, err error) {
	for _, name := range names {
		i := slices.IndexFunc(scopeNames, func(n struct {
			scope Scope
			name  string
		}) bool {
			return n.name == name
		})
		if i < 0 {
			return 0, glassq.Errorf(glassq.CodeBadRequest, "scope %.40q is not one of put, work, read, admin", name)
		}
		s |= scopeNames[i].scope
	}
	if s == 0 {
		return 0, glassq.Errorf(glassq.CodeBadRequest, "no scope; name some of put, work, read, admin")
	}
	return s.full(), nil
}

// full is s with what admin includes.
func (s Scope) full() Scope {
	if s&Admin != 0 {
		return all
	}
	return s
}

// Patterns bound the names of queues and runs: each is a name, or the beginning of names and a
// star. What covers a name covers the queue of results that a run of that name has by default,
// "results.<name>", too.
type Patterns []string

// Covers tells whether a name is among them.
func (p Patterns) Covers(name string) bool { return glassq.Covers(p, name) }

// All tells whether every name is among them.
func (p Patterns) All() bool { return slices.Contains(p, "*") }

// check refuses a pattern that no name fits.
func (p Patterns) check() error {
	if len(p) == 0 {
		return glassq.Errorf(glassq.CodeBadRequest, "no queue; name some, or * for all")
	}
	for _, pattern := range p {
		begin := strings.TrimSuffix(pattern, "*")
		if pattern != "*" && glassq.CheckName(begin) != nil {
			return glassq.Errorf(glassq.CodeBadRequest,
				"pattern %.60q is not the name of a queue, the beginning of one with a * behind it, or *", pattern)
		}
	}
	return nil
}

// A Token is what is kept of a token.
type Token struct {
	ID      string    `json:"id"`
	Name    string    `json:"name"`             // for people and client certificates; two of one name are an old and a new one
	Sum     string    `json:"sha256,omitempty"` // of the secret, in hex
	May     []string  `json:"may"`
	Queues  Patterns  `json:"queues"`
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires,omitzero"` // zero: never
	Manager bool      `json:"manager,omitempty"`
	Rates

	may Scope
	sum [sha256.Size]byte
}

// Expired tells whether its time was over at now.
func (t *Token) Expired(now time.Time) bool { return !t.Expires.IsZero() && !now.Before(t.Expires) }

// check reads the members that are kept as text, and refuses what cannot be.
func (t *Token) check() (err error) {
	if err := glassq.CheckName(t.Name); err != nil {
		return err
	}
	if t.may, err = ParseScopes(t.May); err != nil {
		return err
	}
	if n, err := hex.Decode(t.sum[:], []byte(t.Sum[:min(len(t.Sum), 2*sha256.Size)])); err != nil || n != len(t.sum) ||
		len(t.Sum) != 2*sha256.Size {
		return glassq.Errorf(glassq.CodeBadRequest, "sha256 of token %s is not 64 hexadecimal digits", t.Name)
	}
	if len(t.ID) != idLength || strings.ContainsRune(t.ID, '_') {
		return glassq.Errorf(glassq.CodeBadRequest, "id %.40q is not one of %d letters and digits", t.ID, idLength)
	}
	if err := t.Rates.check(); err != nil {
		return err
	}
	return t.Queues.check()
}

const (
	prefix   = "gq_" // by which searches for secrets in source code can find tokens
	idLength = 12
)

// make gives a token an id and a secret, and returns what its holder sends: gq_<id>_<secret>.
func (t *Token) make() (text string) {
	t.ID = strings.ToLower(rand.Text()[:idLength])
	secret := rand.Text() + rand.Text()
	t.sum = sha256.Sum256([]byte(secret))
	t.Sum = hex.EncodeToString(t.sum[:])
	return prefix + t.ID + "_" + secret
}

// split reads what a holder sends. It does not say whether there is such a token.
func split(text []byte) (id, secret []byte, ok bool) {
	rest, ok := bytes.CutPrefix(text, []byte(prefix))
	if !ok || len(rest) < idLength+2 || rest[idLength] != '_' {
		return nil, nil, false
	}
	return rest[:idLength], rest[idLength+1:], true
}
