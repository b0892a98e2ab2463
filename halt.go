package glassq

import (
	"strconv"
	"strings"
	"time"
)

// Whose endings a rule of Settings.Halt counts together, see Settings.HaltPer.
const (
	HaltPerQueue = "queue"
	HaltPerKey   = "key"
)

// HaltsKeys tells whether each key is halted alone.
func (s *Settings) HaltsKeys() bool { return s.Halt != "" && s.HaltPer == HaltPerKey }

// MaxHalt is the most endings that a rule of Settings.Halt looks at.
const MaxHalt = 200

// A HaltRule is Settings.Halt taken apart: hand-outs pause when more than Percent of the last Of
// endings failed. The zero value never halts.
type HaltRule struct {
	Percent float64 // 0 or more, below 100
	Of      int     // 1 to MaxHalt
}

const haltForm = `a rule is like "failed>30% of 200": more than 30 per cent of the last 200 endings, of which there are 1 to 200`

// ParseHalt reads a rule as Settings.Halt holds it, such as "failed>30% of 200"; "" never halts.
// The error has code bad_request.
func ParseHalt(s string) (HaltRule, error) {
	var r HaltRule
	if s == "" {
		return r, nil
	}
	bad := Errorf(CodeBadRequest, "halt %.60q: %s", s, haltForm)
	rest, ok := strings.CutPrefix(strings.ReplaceAll(s, " ", ""), "failed>")
	share, of, found := strings.Cut(rest, "%of")
	if !ok || !found {
		return r, bad
	}
	percent, err := strconv.ParseFloat(share, 64)
	n, nerr := strconv.Atoi(of)
	if err != nil || nerr != nil || !(percent >= 0 && percent < 100) || n < 1 || n > MaxHalt {
		return r, bad
	}
	return HaltRule{percent, n}, nil
}

// A Halted says why hand-outs of a queue pause; its zero value says that they do not.
type Halted struct {
	Why   string    `json:"why"`
	Since time.Time `json:"since"`
	// Until is when one task goes out as a probe; zero is not before somebody resumes the queue.
	// While the probe is worked on, Until is past.
	Until time.Time `json:"until,omitzero"`
}

// Now tells whether hand-outs pause.
func (h Halted) Now() bool { return h.Why != "" }

// String says it for people.
func (h Halted) String() string {
	switch {
	case !h.Now():
		return ""
	case h.Until.IsZero():
		return "halted until somebody resumes it: " + h.Why
	case !h.Until.After(time.Now()):
		return "halted, its probe is out, or goes to the next who asks: " + h.Why
	}
	return "halted, a probe goes out at " + h.Until.UTC().Format(time.TimeOnly) + " UTC: " + h.Why
}

// HaltedKeys says of a queue with HaltPer which keys are halted; its zero value says none.
type HaltedKeys struct {
	Count  int64  `json:"count"`
	Last   string `json:"last"`   // the one that was halted last
	Halted Halted `json:"halted"` // why that is
}

// String says it for people; "" for none.
func (h HaltedKeys) String() string {
	switch h.Count {
	case 0:
		return ""
	case 1:
		return "key " + strconv.Quote(h.Last) + " is " + h.Halted.String()
	}
	return strconv.FormatInt(h.Count, 10) + " keys are halted; the last, " + strconv.Quote(h.Last) + ", is " + h.Halted.String()
}
