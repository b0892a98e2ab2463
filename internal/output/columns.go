package output

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/jsonline"
)

// csvHeader names the columns that every CSV has. One line is one result, whatever it holds: line
// ends in a text become spaces.
const csvHeader = "id,run,ok,rt,lag,code,err,msg,bytes,t,worker,attempt,input"

const (
	moreColumn  = "more" // the last one: members of o that have no column, as a JSON object
	mostColumns = 50     // beside the fixed ones; o is a worker's word
)

// fixedMembers are the members of o that the fixed columns hold.
var fixedMembers = []string{"ok", "rt", "lag", "code", "err", "msg", "n", "t", "w", "a"}

var csvFields = strings.Count(csvHeader, ",") + 1

// columns are those behind the fixed ones: members of o by name, and more. The zero value has none.
// They belong to one goroutine.
type columns struct {
	names []string
	more  bool // a file of an earlier version has no column for the rest
	raw   bool // texts are written as they are, see appendText

	cells [][]byte // of the record that is written
	rest  []byte
}

// chooseColumns makes a column of each of names, and of each further member of o that the results
// have.
func chooseColumns(leases []glassq.Lease, names []string, raw bool) *columns {
	c := &columns{more: true, raw: raw, names: slices.Clone(names)}
	fixed := append(strings.Split(csvHeader, ","), moreColumn)
	for i := range leases {
		var obj object
		var r record
		r.read(&leases[i], &obj, time.Time{})
		r.eachFurther(func(name string, _ []byte) {
			if len(c.names) < mostColumns && !slices.Contains(c.names, name) && !slices.Contains(fixed, name) {
				c.names = append(c.names, name)
			}
		})
	}
	return c
}

// readColumns reads the first line of a file; false when it is no CSV of results.
func readColumns(line []byte, raw bool) (*columns, bool) {
	rest, ok := strings.CutPrefix(strings.TrimSpace(string(line)), csvHeader)
	if !ok || rest != "" && rest[0] != ',' {
		return nil, false
	}
	c := &columns{raw: raw}
	if rest == "" {
		return c, true
	}
	names, err := csv.NewReader(strings.NewReader(rest[1:])).Read()
	if err != nil {
		return nil, false
	}
	if n := len(names) - 1; names[n] == moreColumn {
		names, c.more = names[:n], true
	}
	for i := range names {
		names[i] = c.text(names[i])
	}
	c.names = names
	return c, true
}

// header is the first line.
func (c *columns) header() []byte {
	line := []byte(csvHeader)
	for _, name := range c.names {
		line = c.appendText(append(line, ','), []byte(name))
	}
	if c.more {
		line = append(line, ","+moreColumn...)
	}
	return append(line, '\n')
}

// append appends the cells of a result.
func (c *columns) append(dst []byte, r *record) []byte {
	c.cells, c.rest = append(c.cells[:0], make([][]byte, len(c.names))...), c.rest[:0]
	if len(c.names) > 0 || c.more {
		r.eachFurther(func(name string, v []byte) {
			if i := slices.Index(c.names, name); i >= 0 {
				c.cells[i] = jsonline.Plain(v)
			} else {
				c.rest = appendMember(c.rest, name, v)
			}
		})
	}
	for _, v := range c.cells {
		dst = c.appendText(append(dst, ','), v)
	}
	if !c.more {
		return dst
	}
	if dst = append(dst, ','); len(c.rest) == 0 {
		return dst
	}
	return c.appendText(dst, append(append([]byte{'{'}, c.rest...), '}'))
}

// members are the cells of a line as members of o, the inverse of append: what looks like a JSON
// value other than a string is one.
func (c *columns) members(cells []string) string {
	var dst []byte
	for i, name := range c.names {
		v := []byte(cells[i])
		if len(v) == 0 {
			continue
		}
		if v[0] == '"' || !json.Valid(v) {
			v = jsonline.AppendString(nil, cells[i])
		}
		dst = appendMember(dst, name, v)
	}
	if !c.more {
		return string(dst)
	}
	if rest := cells[len(c.names)]; len(rest) > 2 && rest[0] == '{' && json.Valid([]byte(rest)) {
		dst = append(append(dst, commaIf(dst)...), rest[1:len(rest)-1]...)
	}
	return string(dst)
}

func commaIf(dst []byte) string {
	if len(dst) == 0 {
		return ""
	}
	return ","
}

func appendMember(dst []byte, name string, v []byte) []byte {
	dst = jsonline.AppendString(append(dst, commaIf(dst)...), name)
	return append(append(dst, ':'), v...)
}

// eachFurther calls f for the members of o that have no fixed column; v is JSON.
func (r *record) eachFurther(f func(name string, v []byte)) {
	if r.obj == nil || !r.obj.o.isObject(r.body) {
		return
	}
	o := r.body[r.obj.o.start:r.obj.o.end]
	eachMember(o, func(key []byte, _, v span) {
		if name := string(key); !slices.Contains(fixedMembers, name) {
			f(name, bytes.TrimSpace(o[v.start:v.end]))
		}
	})
}
