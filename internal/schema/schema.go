// Package schema checks bodies against JSON Schemas (draft 2020-12, or the one that a schema
// names).
//
// It knows JSON texts and nothing of tasks. A schema is a whole in itself: one that refers to
// another document is refused, so that no file and no address is ever read on behalf of a client.
package schema

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

// MaxSize is the most bytes that a schema may have.
const MaxSize = 256 << 10

// maxFaults is how many faults of one body an error names.
const maxFaults = 3

// Compile reads a schema and returns what checks a JSON text against it. The check's error names
// the path and the kind of the first faults; it is safe for concurrent use. Its time and memory are
// bounded by the length of the body, whatever the schema makes of it: a check that takes more is an
// error.
func Compile(text string) (func(body []byte) error, error) {
	first, err := compile(text)
	if err != nil {
		return nil, err
	}
	idle := sync.Pool{New: func() any {
		s, err := compile(text)
		if err != nil {
			panic("schema: what was compiled does not compile: " + err.Error())
		}
		return s
	}}
	idle.Put(first)
	return func(body []byte) error {
		s := idle.Get().(*metered)
		defer idle.Put(s)
		return s.check(body)
	}, nil
}

// A metered schema is used by one goroutine at a time.
type metered struct {
	s *jsonschema.Schema
	m meter
}

func compile(text string) (*metered, error) {
	if len(text) > MaxSize {
		return nil, fmt.Errorf("a schema of %d bytes; the limit is %d", len(text), MaxSize)
	}
	if _, err := survey([]byte(text)); err != nil {
		return nil, err
	}
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		return nil, err
	}
	const name = "schema:queue"
	s := &metered{}
	c := jsonschema.NewCompiler()
	c.UseLoader(noLoader{})
	c.UseRegexpEngine(s.m.compile)
	if err := c.AddResource(name, doc); err != nil {
		return nil, err
	}
	err = s.m.within(maxPatterns, errPatterns, func() (err error) {
		s.s, err = c.Compile(name)
		return sentence(err)
	})
	if err != nil {
		return nil, err
	}
	s.m.count(reflect.ValueOf(s.s), map[*jsonschema.Schema]bool{})
	return s, nil
}

// noLoader refuses what a schema refers to outside of itself.
type noLoader struct{}

func (noLoader) Load(url string) (any, error) {
	return nil, fmt.Errorf("it refers to %s; a schema must be whole in itself ($defs)", url)
}

func (s *metered) check(body []byte) error {
	values, err := survey(body)
	if err != nil {
		return err
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("not JSON: %w", err)
	}
	err = s.m.within(stepsBase+stepsValue*values+stepsByte*len(body), errSteps, func() error { return s.s.Validate(v) })
	if e, ok := errors.AsType[*jsonschema.ValidationError](err); ok {
		return errors.New(strings.Join(faults(nil, e), "; "))
	}
	return err
}

// faults collects "at /path: what" of the innermost causes.
func faults(list []string, e *jsonschema.ValidationError) []string {
	if len(e.Causes) == 0 && len(list) < maxFaults {
		var at strings.Builder
		for _, part := range e.InstanceLocation {
			at.WriteByte('/')
			at.WriteString(strings.NewReplacer("~", "~0", "/", "~1").Replace(part))
		}
		if at.Len() == 0 {
			at.WriteString("the top")
		}
		what := e.ErrorKind.LocalizedString(message.NewPrinter(language.English))
		return append(list, fmt.Sprintf("at %.200s: %.300s", at.String(), what))
	}
	for _, c := range e.Causes {
		list = faults(list, c)
	}
	return list
}

// sentence takes the lines that the library's complaints about schemas have down to one.
func sentence(err error) error {
	if e, ok := errors.AsType[*jsonschema.SchemaValidationError](err); ok {
		if v, ok := errors.AsType[*jsonschema.ValidationError](e.Err); ok {
			return errors.New(strings.Join(faults(nil, v), "; "))
		}
	}
	return err
}
