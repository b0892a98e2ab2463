package dispatch

import (
	"slices"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/jsonline"
)

// A Key says which key the tasks of a source have that have none of their own. It is read-only once
// parsed.
type Key struct {
	tmpl *Template // nil: the host of the task's URL
}

// ParseKey reads "host", or a template whose values are taken as they are. The error is that of
// ParseTemplate.
func ParseKey(s string) (*Key, error) {
	if s == "host" {
		return &Key{}, nil
	}
	t, err := ParseTemplate(s)
	if err != nil {
		return nil, err
	}
	t.parts = slices.Clone(t.parts)
	for i := range t.parts {
		t.parts[i].raw, t.parts[i].json = true, false
	}
	return &Key{tmpl: t}, nil
}

// SetKey has the tasks of src, which was made by this package and not read yet, have keys. The error
// has code bad_request, or is a *TemplateError.
func SetKey(src Source, k *Key) error {
	var m *maker
	switch src := src.(type) {
	case *counter:
		if m = &src.make; k.tmpl != nil && k.tmpl.UsesLine() {
			return &TemplateError{Template: k.tmpl.text, Pos: 1,
				Reason: "{line} and {col:name} need a file or standard input to take lines from; for numbers write {0}"}
		}
	case *lines:
		m = &src.make
	case *File:
		m = &src.make
	default:
		return glassq.Errorf(glassq.CodeBadRequest, "these tasks cannot be given keys; write a key into each")
	}
	if k.tmpl != nil && k.tmpl.cols {
		if m.columns == nil {
			return glassq.Errorf(glassq.CodeBadRequest, "{col:name} in a key needs a CSV file whose first row names the columns")
		}
		tmpl, err := k.tmpl.bind(m.columns)
		if err != nil {
			return err
		}
		k = &Key{tmpl: tmpl}
	}
	m.keys = k
	return nil
}

// key gives t, which is made of r, its key.
func (m *maker) key(t *glassq.Task, r *record) error {
	if m.keys == nil || t.Key != "" {
		return nil
	}
	if m.keys.tmpl == nil {
		t.Key = jsonline.Host(t.Body)
	} else {
		m.scratch = m.keys.tmpl.Append(m.scratch[:0], r)
		if string(m.scratch) != m.last { // tasks that follow each other mostly have the same
			m.last = string(m.scratch)
		}
		t.Key = m.last
	}
	if len(t.Key) > glassq.MaxKey {
		return glassq.Errorf(glassq.CodeBadRequest, "key %.60q has more than %d bytes", t.Key, glassq.MaxKey)
	}
	return nil
}
