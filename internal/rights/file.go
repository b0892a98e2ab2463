package rights

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/whole"
)

const (
	// MaxManager is how many tokens may open the Python manager door: its challenge carries no
	// name, so each answer is tried with all of them.
	MaxManager = 64

	maxTokens = 100_000
	maxFile   = 64 << 20 // bytes
	maxLine   = 64 << 10

	// rawSuffix is behind the name of the file for the file with the secrets of tokens for the
	// manager door, whose challenge is answered with an HMAC: a digest of the secret cannot check
	// that.
	rawSuffix = ".manager"

	lockWait = 5 * time.Second
)

// Load reads a file of tokens, which only its owner may read. One that is not there has code
// not_found.
func Load(path string) ([]Token, error) {
	text, err := readPrivate(path)
	if err != nil {
		return nil, err
	}
	var list []Token
	ids := map[string]bool{}
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, maxLine)
	for n := 1; lines.Scan(); n++ {
		line := bytes.TrimSpace(lines.Bytes())
		if len(line) == 0 {
			continue
		}
		var t Token
		d := json.NewDecoder(bytes.NewReader(line))
		d.DisallowUnknownFields()
		err := d.Decode(&t)
		if err == nil {
			err = t.check()
		}
		switch {
		case err == nil && d.More():
			err = errors.New("more than one object")
		case err == nil && ids[t.ID]:
			err = fmt.Errorf("id %s comes twice", t.ID)
		case err == nil && len(list) == maxTokens:
			err = fmt.Errorf("more than %d tokens", maxTokens)
		}
		if err != nil {
			return nil, glassq.Errorf(glassq.CodeBadRequest, "tokens %s: line %d: %w", path, n, err)
		}
		ids[t.ID] = true
		list = append(list, t)
	}
	if err := lines.Err(); err != nil {
		return nil, glassq.Errorf(glassq.CodeBadRequest, "tokens %s: %w", path, err)
	}
	return list, nil
}

// readPrivate reads a file that nobody but its owner may read or write.
func readPrivate(path string) ([]byte, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, glassq.Errorf(glassq.CodeNotFound, "there are no tokens at %s; glassq token new makes the file", path)
	}
	if err != nil {
		return nil, fmt.Errorf("read tokens: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, fmt.Errorf("read tokens: %w", err)
	case !info.Mode().IsRegular():
		return nil, glassq.Errorf(glassq.CodeBadRequest, "tokens %s: not a file", path)
	case WiderThanOwner(info):
		return nil, glassq.Errorf(glassq.CodeBadRequest,
			"tokens %s: others may read or write it (mode %04o); chmod 600 it, and rotate its tokens if somebody else did",
			path, info.Mode().Perm())
	case info.Size() > maxFile:
		return nil, glassq.Errorf(glassq.CodeBadRequest, "tokens %s: larger than %d MiB", path, maxFile>>20)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxFile))
	if err != nil {
		return nil, fmt.Errorf("read tokens: %w", err)
	}
	return text, nil
}

// WiderThanOwner tells whether others than its owner may do something with a file, as far as its
// mode says.
func WiderThanOwner(info fs.FileInfo) bool {
	return runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0
}

// loadRaw reads the secrets for the manager door, by id. A file that is not there has none.
func loadRaw(path string) (map[string]string, error) {
	text, err := readPrivate(path + rawSuffix)
	if errors.Is(err, glassq.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	raw := map[string]string{}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		id, _, ok := split([]byte(line))
		if !ok && line != "" {
			return nil, glassq.Errorf(glassq.CodeBadRequest, "tokens %s: a line is no token", path+rawSuffix)
		}
		if ok {
			raw[string(id)] = line
		}
	}
	return raw, nil
}

// An Edit is one change of a file of tokens. Another one waits for it.
type Edit struct {
	Tokens []Token

	path string
	raw  map[string]string
}

// Change locks the file at path, which need not be there, has change work on it, and writes it anew
// if that has no error. It waits for another Change for at most 5 s.
func Change(path string, change func(*Edit) error) (err error) {
	if to, err := os.Readlink(path); err == nil { // a new file would take the place of the link
		return glassq.Errorf(glassq.CodeBadRequest, "change tokens: %s is a link; name the file, %s", path, to)
	}
	lock := path + ".lock"
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		f, err := os.OpenFile(lock, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err == nil {
			f.Close()
			break
		}
		if !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("change tokens: %w", err)
		}
		if time.Since(began) > lockWait {
			return glassq.Errorf(glassq.CodeUnavailable,
				"another program changes the tokens: %s is there; remove it if there is no such program", lock)
		}
	}
	defer func() { err = errors.Join(err, os.Remove(lock)) }()
	e := &Edit{path: path}
	if e.Tokens, err = Load(path); err != nil && !errors.Is(err, glassq.ErrNotFound) {
		return err
	}
	if e.raw, err = loadRaw(path); err != nil {
		return err
	}
	if err := change(e); err != nil {
		return err
	}
	return e.write()
}

// New adds a token with all but its id and its secret, and returns what its holder sends. A name
// that a valid token has is refused.
func (e *Edit) New(t Token) (text string, err error) {
	if slices.ContainsFunc(e.Tokens, func(old Token) bool { return old.Name == t.Name && !old.Expired(t.Created) }) {
		return "", glassq.Errorf(glassq.CodeBadRequest,
			"there is a token %s already; take another name, or glassq token rotate %[1]s", t.Name)
	}
	return e.add(t)
}

func (e *Edit) add(t Token) (text string, err error) {
	text = t.make()
	if err := t.check(); err != nil {
		return "", err
	}
	if t.Manager {
		n := 0
		for i := range e.Tokens {
			if e.Tokens[i].Manager && !e.Tokens[i].Expired(t.Created) {
				n++
			}
		}
		if n >= MaxManager {
			return "", glassq.Errorf(glassq.CodeBadRequest,
				"there are %d tokens for the manager door, which is the most; revoke one", n)
		}
		if e.raw == nil {
			e.raw = map[string]string{}
		}
		e.raw[t.ID] = text
	}
	if len(e.Tokens) >= maxTokens {
		return "", glassq.Errorf(glassq.CodeBadRequest, "there are %d tokens, which is the most; revoke some", len(e.Tokens))
	}
	e.Tokens = append(e.Tokens, t)
	return text, nil
}

// Revoke takes away the tokens with a name or an id, and returns how many there were.
func (e *Edit) Revoke(name string) (n int) {
	e.Tokens = slices.DeleteFunc(e.Tokens, func(t Token) bool {
		if t.Name != name && t.ID != name {
			return false
		}
		n++
		return true
	})
	return n
}

// SetRates changes the rates of the tokens with a name, and returns how many there were.
func (e *Edit) SetRates(name string, change func(*Rates)) (n int) {
	for i := range e.Tokens {
		if t := &e.Tokens[i]; t.Name == name {
			change(&t.Rates)
			n++
		}
	}
	return n
}

// Rotate adds a token like the newest valid one of a name, which ends after overlap as all others
// of that name do, and returns it with what its holder sends. expires is the end of the new one,
// zero for as long a time as the old one had.
func (e *Edit) Rotate(name string, now time.Time, overlap time.Duration, expires time.Time) (t Token, text string,
	err error) {
	found := false
	for i := range e.Tokens {
		old := &e.Tokens[i]
		if old.Name != name || old.Expired(now) {
			continue
		}
		if !found || old.Created.After(t.Created) {
			t, found = *old, true
		}
		if end := now.Add(overlap); old.Expires.IsZero() || end.Before(old.Expires) {
			old.Expires = end
		}
	}
	if !found {
		return t, "", glassq.Errorf(glassq.CodeNotFound, "there is no valid token %s; glassq token ls tells what there is", name)
	}
	if expires.IsZero() && !t.Expires.IsZero() {
		expires = now.Add(t.Expires.Sub(t.Created))
	}
	t.Created, t.Expires = now, expires
	if text, err = e.add(t); err == nil {
		t = e.Tokens[len(e.Tokens)-1]
	}
	return t, text, err
}

// write replaces the file. The secrets of the manager door come first when there are more of them:
// without their tokens they are good for nothing.
func (e *Edit) write() error {
	var text, raw []byte
	for i := range e.Tokens {
		t := &e.Tokens[i]
		line, err := json.Marshal(t)
		if err != nil {
			return fmt.Errorf("print token: %w", err)
		}
		text = append(append(text, line...), '\n')
		if secret, ok := e.raw[t.ID]; ok && t.Manager {
			raw = append(append(raw, secret...), '\n')
		}
	}
	var err error
	if len(e.raw) > 0 {
		err = whole.WriteLike(e.path, e.path+rawSuffix, filepath.Dir(e.path), raw, 0o600)
	}
	if err == nil {
		err = whole.Write(e.path, filepath.Dir(e.path), text, 0o600)
	}
	if err != nil {
		return fmt.Errorf("write tokens: %w", err)
	}
	return nil
}
