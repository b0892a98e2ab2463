package cluster

import (
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

// recall reads the hint file.
func (s *Store) recall() error {
	if s.opt.HintFile == "" {
		return nil
	}
	text, err := os.ReadFile(s.opt.HintFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var x remembered
	if err == nil {
		err = json.Unmarshal(text, &x)
	}
	if err != nil {
		return glassq.Errorf(glassq.CodeDamaged, "the hint file %s does not read: %w; delete it if the store is known to be whole",
			s.opt.HintFile, err)
	}
	if x.Store != hex.EncodeToString(s.id[:]) {
		return lost("the hint file %s is of another store: the one that it knew is gone, or the file belongs elsewhere", s.opt.HintFile)
	}
	s.high = witness{point{x.Number, x.Chain}, "the hint file " + s.opt.HintFile}
	return nil
}

// remember writes the newest point to the hint file.
func (s *Store) remember() error {
	if s.opt.HintFile == "" {
		return nil
	}
	s.mu.Lock()
	x := remembered{hex.EncodeToString(s.id[:]), s.high.number, s.high.chain}
	s.mu.Unlock()
	text, err := json.Marshal(x)
	if err == nil {
		err = os.WriteFile(s.opt.HintFile+".new", append(text, '\n'), 0o600)
	}
	if err == nil {
		err = os.Rename(s.opt.HintFile+".new", s.opt.HintFile)
	}
	if err != nil {
		return fmt.Errorf("write the hint file: %w", err)
	}
	return nil
}
