package fetch

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/glassq/glassq/result"
)

// Codes is a set of statuses, as ranges. The zero value is empty.
type Codes []CodeRange

// A CodeRange holds the statuses First to Last.
type CodeRange struct{ First, Last int }

// ParseCodes reads a list like "200-299,304,5xx". An empty text is the empty set.
func ParseCodes(text string) (Codes, error) {
	var c Codes
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	for part := range strings.SplitSeq(text, ",") {
		part = strings.TrimSpace(part)
		first, last, isRange := strings.Cut(part, "-")
		if !isRange {
			last = first
		}
		if d, ok := strings.CutSuffix(strings.ToLower(part), "xx"); ok {
			first, last = d+"00", d+"99"
		}
		r := CodeRange{}
		var err, err2 error
		r.First, err = strconv.Atoi(first)
		r.Last, err2 = strconv.Atoi(last)
		if err != nil || err2 != nil || r.First < 100 || r.Last > 999 || r.First > r.Last {
			return nil, fmt.Errorf("%q is not a list of statuses like 200-299,304,5xx", text)
		}
		c = append(c, r)
	}
	return c, nil
}

// Has reports whether code is in the set.
func (c Codes) Has(code int) bool {
	for _, r := range c {
		if code >= r.First && code <= r.Last {
			return true
		}
	}
	return false
}

// Rules say which answers count as success. The zero value takes every status from 200 to 399.
// Rules of the body look at it decoded, if Options.Decode is set.
type Rules struct {
	Codes    Codes          // nil means 200 to 399
	Contains []string       // the body has each of these
	Match    *regexp.Regexp // the body matches; nil for anything
	SHA256   []byte         // of the body; nil for any
	MinSize  int64          // of the body, in bytes
	MaxSize  int64          // 0 for any
	MaxTime  time.Duration  // from sending to the end of the body; 0 for any
}

// needBody reports whether the rules look into the body.
func (r *Rules) needBody() bool {
	return len(r.Contains) > 0 || r.Match != nil || r.SHA256 != nil
}

func (r *Rules) check() error {
	switch {
	case r.MinSize < 0 || r.MaxSize < 0 || r.MaxTime < 0:
		return fmt.Errorf("expected sizes and times are not negative")
	case r.MaxSize > 0 && r.MinSize > r.MaxSize:
		return fmt.Errorf("the smallest expected size %d is above the largest, %d", r.MinSize, r.MaxSize)
	case r.SHA256 != nil && len(r.SHA256) != sha256.Size:
		return fmt.Errorf("the expected SHA-256 has %d bytes, not %d", len(r.SHA256), sha256.Size)
	}
	return nil
}

// judge returns the class and the text of the first rule that an answer breaks, "" for none.
func (r *Rules) judge(code int, body []byte, size int64, rt time.Duration) (class, msg string) {
	if r.Codes == nil && (code < 200 || code > 399) || r.Codes != nil && !r.Codes.Has(code) {
		return result.ClassStatus, ""
	}
	if size < r.MinSize || r.MaxSize > 0 && size > r.MaxSize {
		return result.ClassBodyMismatch, "the body's size is not as expected"
	}
	for _, want := range r.Contains {
		if !bytes.Contains(body, []byte(want)) {
			return result.ClassBodyMismatch, fmt.Sprintf("the body does not have %.60q", want)
		}
	}
	if r.Match != nil && !r.Match.Match(body) {
		return result.ClassBodyMismatch, fmt.Sprintf("the body does not match %.60q", r.Match.String())
	}
	if r.SHA256 != nil {
		if sum := sha256.Sum256(body); !bytes.Equal(sum[:], r.SHA256) {
			return result.ClassBodyMismatch, "the body's SHA-256 is not as expected"
		}
	}
	if r.MaxTime > 0 && rt > r.MaxTime {
		return result.ClassTimeout, "a whole answer, later than expected"
	}
	return "", ""
}
