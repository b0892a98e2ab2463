package output

import (
	"strings"

	"github.com/glassq/glassq"
)

// A Filter says which results are written. Nil lets all pass.
type Filter struct {
	terms []term
}

// A term is one condition.
type term struct {
	by    By // zero: the verdict
	value string
}

// ParseFilter reads conditions with commas between, all of which must hold: ok, failed, or
// KEY=VALUE with a key of ParseBy. A code may end in xx, as 5xx; err=status is every status. The
// error has code bad_request.
func ParseFilter(s string) (*Filter, error) {
	f := &Filter{}
	for part := range strings.SplitSeq(s, ",") {
		part = strings.TrimSpace(part)
		key, value, ok := strings.Cut(part, "=")
		switch {
		case part == "ok" || part == "failed":
			f.terms = append(f.terms, term{value: part})
			continue
		case !ok || value == "":
			return nil, glassq.Errorf(glassq.CodeBadRequest,
				"condition %.60q is not one of ok, failed, err=CLASS, code=200 or 5xx, host=NAME, worker=NAME, label:NAME=VALUE", part)
		}
		by, err := ParseBy(key)
		if err != nil {
			return nil, err
		}
		f.terms = append(f.terms, term{by, value})
	}
	return f, nil
}

// passes tells whether a result is to be written. buf is room for a key, which is returned.
func (f *Filter) passes(r *record, buf []byte) (bool, []byte) {
	if f == nil {
		return true, buf
	}
	for _, t := range f.terms {
		if t.by.kind == "" {
			if r.out.OK != (t.value == "ok") {
				return false, buf
			}
			continue
		}
		buf = t.by.key(buf[:0], r)
		if !t.matches(string(buf)) {
			return false, buf
		}
	}
	return true, buf
}

func (t *term) matches(key string) bool {
	switch {
	case key == t.value:
		return true
	case t.by.kind == "err":
		return strings.HasPrefix(key, t.value+" ")
	case t.by.kind == "code" && len(t.value) == 3 && strings.HasSuffix(t.value, "xx"):
		return len(key) == 3 && key[0] == t.value[0]
	}
	return false
}
