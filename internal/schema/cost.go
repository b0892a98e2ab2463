package schema

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"regexp/syntax"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

const (
	maxValues   = 500_000 // of one body, member names included
	maxNumber   = 400     // characters of a number, and its exponent: beyond float64, and exact still
	maxPatterns = 200_000 // instructions of all patterns of a schema together
	stepsBase   = 100_000 // steps of a check, and
	stepsValue  = 32      // more for each value of the body, and
	stepsByte   = 4       // for each byte
	matchShare  = 32      // instructions of a pattern times bytes of text that make a step
)

var (
	errSteps    = errors.New("the check takes too many steps: schemas that refer to each other several times, or large patterns, multiply")
	errPatterns = fmt.Errorf("its patterns are too large: {n} repeats what stands before it n times, and together they may have %d parts", maxPatterns)
)

// A meter bounds what a schema does: short ones whose parts refer to each other twice take 2^n
// steps, and a short pattern with {1000} is a large program.
type meter struct{ left int }

// within runs f, which spends at most n steps: else the error is over.
func (m *meter) within(n int, over error, f func() error) (err error) {
	m.left = n
	defer func() {
		if r := recover(); r == m { // spend's, from below the library
			err = over
		} else if r != nil {
			panic(r)
		}
	}()
	return f()
}

func (m *meter) spend(n int) {
	if m.left -= n; m.left < 0 {
		panic(m)
	}
}

// A pattern counts its matches.
type pattern struct {
	*regexp.Regexp
	size int
	m    *meter
}

func (p pattern) MatchString(s string) bool {
	p.m.spend(1 + len(s)*p.size/matchShare)
	return p.Regexp.MatchString(s)
}

// compile is a jsonschema.RegexpEngine.
func (m *meter) compile(s string) (jsonschema.Regexp, error) {
	tree, err := syntax.Parse(s, syntax.Perl)
	if err != nil {
		return nil, err
	}
	size := sizeOf(tree)
	m.spend(size)
	re, err := regexp.Compile(s)
	return pattern{re, size, m}, err
}

// sizeOf is about how many instructions an expression becomes.
func sizeOf(re *syntax.Regexp) int {
	n := 1 + len(re.Rune)
	for _, sub := range re.Sub {
		n += sizeOf(sub)
	}
	if re.Op == syntax.OpRepeat {
		n *= max(1, re.Min, re.Max)
	}
	return n
}

var schemaType = reflect.TypeFor[*jsonschema.Schema]()

// count makes every schema that can be reached from v count the values that it is held against. The
// library looks at the format first.
func (m *meter) count(v reflect.Value, seen map[*jsonschema.Schema]bool) {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return
		}
		if v.Type() == schemaType {
			s := (*jsonschema.Schema)(v.UnsafePointer())
			if seen[s] {
				return
			}
			seen[s] = true
			defer m.hook(s) // when its old format is no longer looked at
		}
		if e := v.Type().Elem(); e == schemaType.Elem() || e == reflect.TypeFor[jsonschema.DynamicRef]() {
			m.count(v.Elem(), seen)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			m.count(v.Field(i), seen)
		}
	case reflect.Interface:
		m.count(v.Elem(), seen)
	case reflect.Slice:
		for i := range v.Len() {
			m.count(v.Index(i), seen)
		}
	case reflect.Map:
		for it := v.MapRange(); it.Next(); {
			m.count(it.Value(), seen)
		}
	}
}

func (m *meter) hook(s *jsonschema.Schema) {
	f := jsonschema.Format{Validate: func(any) error { return nil }}
	if s.Format != nil {
		f = *s.Format
	}
	validate := f.Validate
	f.Validate = func(v any) error {
		n := 1
		switch v := v.(type) {
		case []any:
			n += len(v)
		case map[string]any:
			n += len(v)
		}
		m.spend(n)
		return validate(v)
	}
	s.Format = &f
}

// survey counts the values of a JSON text, before they are made, and refuses numbers that take long
// to make. A body that is not JSON passes: its reader says why.
func survey(body []byte) (values int, err error) {
	for i := 0; i < len(body); {
		switch c := body[i]; {
		case c == '"':
			for i++; i < len(body) && body[i] != '"'; i++ {
				if body[i] == '\\' {
					i++
				}
			}
			values, i = values+1, i+1
		case c == '-' || c >= '0' && c <= '9':
			from, exponent := i, 0
			for inExponent := false; i < len(body); i++ {
				if c := body[i]; c == 'e' || c == 'E' {
					inExponent = true
				} else if c >= '0' && c <= '9' {
					if inExponent {
						exponent = min(exponent*10+int(c-'0'), maxNumber+1)
					}
				} else if c != '.' && c != '-' && c != '+' {
					break
				}
			}
			if i-from > maxNumber || exponent > maxNumber {
				return values, fmt.Errorf("the number %.40s at byte %d is too long to be compared; the limit is %d digits and e%d", body[from:i], from, maxNumber, maxNumber)
			}
			values++
		default:
			if c == '[' || c == '{' || c == 't' || c == 'f' || c == 'n' {
				values++
			}
			for i++; i < len(body) && body[i] >= 'a' && body[i] <= 'z'; i++ { // a word counts once
			}
		}
		if values > maxValues {
			return values, fmt.Errorf("more than %d values: a body that is held to a schema may have no more", maxValues)
		}
	}
	return values, nil
}
