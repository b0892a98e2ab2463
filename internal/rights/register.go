package rights

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/glassq/glassq"
)

// lookEvery is how often a Register looks whether its file has changed and whose time is over.
const lookEvery = 250 * time.Millisecond

// A Register is a file of tokens as a running server sees it. It is safe for concurrent use.
type Register struct {
	// Changed hears of a token that came (ActionNew), is another one than before or has gone, by
	// its name and id. It must not block, and is set before Run.
	Changed func(action, name, id string)

	path    string
	now     atomic.Pointer[tokens] // never changed in place
	refused Refused

	mu   sync.Mutex // of reload
	seen [2]fs.FileInfo
	bad  string // the last thing that was wrong with the file, which is said once
}

// What Changed hears.
const (
	ActionNew    = "token_new"
	ActionChange = "token_change"
	ActionRevoke = "token_revoke"
)

// tokens are those of one state of the file.
type tokens struct {
	byID   map[string]*Live
	byName map[string]*Live // the newest valid one
	raw    []*Live          // those of the manager door
	next   time.Time        // when the first of them expires; zero for never
}

// A Live token lets in who holds it, until Done.
type Live struct {
	Token
	Raw []byte // what its holder sends, for a challenge; only of tokens for the manager door

	meter *Meter
	over  context.Context
	end   context.CancelFunc
	dead  atomic.Bool
}

// Done is closed when the token is revoked, changed or expired.
func (l *Live) Done() <-chan struct{} { return l.over.Done() }

// AfterDone has f called in a goroutine of its own once Done is closed, unless stop is called
// before.
func (l *Live) AfterDone(f func()) (stop func() bool) { return context.AfterFunc(l.over, f) }

// Over tells whether Done is closed.
func (l *Live) Over() bool { return l.dead.Load() }

// Scope is what it may do.
func (l *Live) Scope() Scope { return l.may }

func (l *Live) finish() {
	l.dead.Store(true)
	l.end()
}

// Open reads a file of tokens. The file must be there, and must be its owner's alone.
func Open(path string) (*Register, error) {
	r := &Register{path: path}
	r.now.Store(&tokens{})
	if err := r.load(); err != nil {
		return nil, err
	}
	return r, nil
}

// Run follows the file until ctx is done: what changes in it counts within half a second. A file
// that cannot be read, or that others may read, changes nothing, and is said in the log.
func (r *Register) Run(ctx context.Context, log *slog.Logger) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			r.Look(log)
		case <-ctx.Done():
			return
		}
	}
}

// Digest is a short digest of all tokens that the file holds, with what they may do: it is the same for files
// that let in the same clients.
func (r *Register) Digest() string {
	byID := r.now.Load().byID
	h := sha256.New()
	for _, id := range slices.Sorted(maps.Keys(byID)) {
		text, _ := json.Marshal(byID[id].Token) // strings, numbers and times
		h.Write(text)
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// Look does at once what Run does every time. It tells whether the file was read anew.
func (r *Register) Look(log *slog.Logger) (read bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.bad != "" || r.changed() { // the cure of what is bad need not change the files
		if err := r.load(); err != nil {
			if r.bad != err.Error() {
				r.bad = err.Error()
				log.Error("the tokens are those of before: their file cannot be used", "err", err)
			}
		} else {
			r.bad, read = "", true
			log.Info("tokens read anew", "tokens", len(r.now.Load().byID))
		}
	}
	if now, all := time.Now(), r.now.Load(); !all.next.IsZero() && !now.Before(all.next) {
		r.settleTokens(all.byID, now)
	}
	return read
}

// stat looks at both files.
func (r *Register) stat() (seen [2]fs.FileInfo) {
	for i, path := range [2]string{r.path, r.path + rawSuffix} {
		seen[i], _ = os.Stat(path) // what is wrong is told by load
	}
	return seen
}

// changed tells whether one of the files is another one than at the last load.
func (r *Register) changed() bool {
	for i, now := range r.stat() {
		old := r.seen[i]
		if (now == nil) != (old == nil) {
			return true
		}
		if now != nil && (!os.SameFile(now, old) || !now.ModTime().Equal(old.ModTime()) || now.Size() != old.Size() ||
			now.Mode() != old.Mode()) {
			return true
		}
	}
	return false
}

// load reads the files, and ends the tokens that are no longer there. It keeps those that are as
// before.
func (r *Register) load() error {
	seen := r.stat() // before they are read: what is written meanwhile is seen as a change
	list, err := Load(r.path)
	if err != nil {
		r.seen = seen
		return err
	}
	raw, err := loadRaw(r.path)
	r.seen = seen
	if err != nil {
		return err
	}
	old := r.now.Load().byID
	byID := make(map[string]*Live, len(list))
	for i := range list {
		t := &list[i]
		l := &Live{Token: *t}
		if text, ok := raw[t.ID]; ok && t.Manager {
			if _, secret, _ := split([]byte(text)); sha256.Sum256(secret) == t.sum {
				l.Raw = []byte(text)
			}
		}
		if before := old[t.ID]; before != nil && before.same(l) {
			byID[t.ID] = before
			continue
		}
		l.over, l.end = context.WithCancel(context.Background()) // ended by finish
		byID[t.ID] = l
	}
	paced := r.pace(list, byID, old)
	r.settleTokens(byID, time.Now())
	for id, l := range old {
		if byID[id] != l {
			l.finish()
		}
		if byID[id] == nil {
			r.tell(ActionRevoke, l)
		}
	}
	for id, l := range byID {
		switch before := old[id]; {
		case before == nil:
			r.tell(ActionNew, l)
		case before != l || paced[l.Name]:
			r.tell(ActionChange, l)
		}
	}
	return nil
}

// pace gives tokens their meters, one to each name, with the rates of the newest token of that
// name. A name that had one keeps it, so that whoever makes a new token starts no new second. It
// returns the names with other rates than before.
func (r *Register) pace(list []Token, byID, old map[string]*Live) (paced map[string]bool) {
	meters, newest := make(map[string]*Meter, len(list)), make(map[string]*Token, len(list))
	for _, l := range old {
		meters[l.Name] = l.meter
	}
	for i := range list {
		t := &list[i]
		if n := newest[t.Name]; n == nil || t.Created.After(n.Created) {
			newest[t.Name] = t
		}
	}
	paced = map[string]bool{}
	for name, t := range newest {
		if meters[name] == nil {
			meters[name] = newMeter(&r.refused)
		}
		paced[name] = meters[name].set(t.Rates)
	}
	for _, l := range byID {
		if l.meter == nil { // one of before has its own, which others read
			l.meter = meters[l.Name]
		}
	}
	return paced
}

// Refused counts the puts that the rates of tokens refused.
func (r *Register) Refused() *Refused { return &r.refused }

func (r *Register) tell(action string, l *Live) {
	if r.Changed != nil {
		r.Changed(action, l.Name, l.ID)
	}
}

// same tells whether a token grants what it granted before.
func (l *Live) same(other *Live) bool {
	a, b := l.Token, other.Token
	return a.sum == b.sum && a.Name == b.Name && a.may == b.may && slices.Equal(a.Queues, b.Queues) &&
		a.Expires.Equal(b.Expires) && bytes.Equal(l.Raw, other.Raw)
}

// settleTokens makes tokens those that count, and ends those whose time is over.
func (r *Register) settleTokens(byID map[string]*Live, now time.Time) {
	all := &tokens{byID: byID, byName: map[string]*Live{}}
	var ended []*Live
	for _, l := range byID {
		if l.Expired(now) {
			ended = append(ended, l)
			continue
		}
		if !l.Expires.IsZero() && (all.next.IsZero() || l.Expires.Before(all.next)) {
			all.next = l.Expires
		}
		if n := all.byName[l.Name]; n == nil || l.Created.After(n.Created) {
			all.byName[l.Name] = l
		}
		if l.Raw != nil && len(all.raw) < MaxManager {
			all.raw = append(all.raw, l)
		}
	}
	r.now.Store(all)
	for _, l := range ended {
		l.finish()
	}
}

// Find is the token whose holder sent text, nil for none. One that has expired is an error with
// code unauthorized: its holder may know. The token is looked up by its public id; the secret is
// compared as a digest, in constant time.
func (r *Register) Find(text []byte) (*Live, error) {
	id, secret, ok := split(text)
	if !ok {
		return nil, nil
	}
	l := r.now.Load().byID[string(id)]
	if l == nil {
		return nil, nil
	}
	if sum := sha256.Sum256(secret); subtle.ConstantTimeCompare(sum[:], l.sum[:]) == 0 {
		return nil, nil
	}
	if l.Over() || l.Expired(time.Now()) {
		return nil, glassq.Errorf(glassq.CodeUnauthorized, "token %s expired on %s; ask for a new one", l.Name,
			l.Expires.UTC().Format(time.DateTime))
	}
	return l, nil
}

// Named is the newest valid token of a name, nil for none.
func (r *Register) Named(name string) *Live {
	if l := r.now.Load().byName[name]; l != nil && !l.Over() && !l.Expired(time.Now()) {
		return l
	}
	return nil
}

// Manager are the tokens of the manager door, at most MaxManager.
func (r *Register) Manager() []*Live { return r.now.Load().raw }
