package cluster

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/glassq/glassq"
)

// A remembered point is what the hint file holds: log and hints may go back together, when the
// machines that keep them lose power, and then only this file and the gateways that live know.
type remembered struct {
	Store  string `json:"store"`
	Number uint64 `json:"number"`
	Chain  uint64 `json:"chain"`
}

// recall reads the hint file; the zero value is none.
func (s *Store) recall() (x remembered, err error) {
	if s.opt.HintFile == "" {
		return x, nil
	}
	text, err := os.ReadFile(s.opt.HintFile)
	if errors.Is(err, fs.ErrNotExist) {
		return x, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &x)
	}
	if err != nil {
		return x, glassq.Errorf(glassq.CodeDamaged,
			"the hint file %s does not read: %w; delete it if the store is known to be whole", s.opt.HintFile, err)
	}
	s.high = witness{point{x.Number, x.Chain}, "the hint file " + s.opt.HintFile}
	return x, nil
}

// same refuses a ground that holds another store now than this gateway's, or none: machines that
// lose everything can be made a store anew by a gateway that knows of nothing. text is the hint
// "store".
func (s *Store) same(text []byte, last uint64, store string) error {
	var is identity
	there := "no store"
	if text != nil {
		if json.Unmarshal(text, &is) == nil && is.Store == store {
			return nil
		}
		there = "another store"
	}
	cure := ""
	if s.opt.HintFile != "" {
		cure = "; remove " + s.opt.HintFile + " if another store is meant, or that one is given up"
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return lost("the log ends with message %d, and %s has seen message %s: there is %s where that one was%s", last, s.high.who,
		s.high.point, there, cure)
}

// stays finds out whether the store is still there.
func (s *Store) stays(ctx context.Context) error {
	try, cancel := context.WithTimeout(ctx, tryFor)
	defer cancel()
	text, _, err := s.ground.Hints.Get(try, storeKey)
	if err != nil {
		return err
	}
	info, err := s.ground.Log.Info(try)
	if err != nil && !errors.Is(err, ErrGone) {
		return err
	}
	return s.same(text, info.Last, hex.EncodeToString(s.id[:]))
}

// remember writes the newest point to the hint file, if it is newer than what the file holds. One
// goroutine at a time calls it.
func (s *Store) remember() error {
	s.mu.Lock()
	x := remembered{hex.EncodeToString(s.id[:]), s.high.number, s.high.chain}
	s.mu.Unlock()
	if s.opt.HintFile == "" || x.Number <= s.written {
		return nil
	}
	text, err := json.Marshal(x)
	if err == nil {
		err = writeSynced(s.opt.HintFile+".new", append(text, '\n'))
	}
	if err == nil {
		err = os.Rename(s.opt.HintFile+".new", s.opt.HintFile)
	}
	if err != nil {
		return fmt.Errorf("write the hint file: %w", err)
	}
	s.written = x.Number
	return nil
}

// writeSynced writes a file that is whole before it gets its name, also after a power cut.
func writeSynced(path string, text []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Sync(), f.Close())
}
