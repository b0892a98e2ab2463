package output

import (
	"bytes"
	"encoding/json"
	"strings"
	"text/template"
	"time"

	"github.com/glassq/glassq"
)

// A Template prints results by a template of text/template. It is executed on a Row; beside the
// functions of text/template there is json, which prints a value as JSON.
type Template struct {
	t *template.Template
}

// A Row is what a Template knows of a result.
type Row struct {
	ID, Run string
	OK      bool
	RT      float64 // seconds of work; 0 when the result does not say
	Lag     float64 // seconds from due to start
	Due     float64 // seconds from due to done
	Code    int     // status, 0 for none
	Err     string  // error class
	Msg     string
	Bytes   int64     // received
	Time    time.Time // when the work began; zero when the result does not say
	Worker  string
	Attempt int
	Input   string // the task's text or JSON
	Host    string // of an input that is a URL
	Line    string // the result as NDJSON, without the line end

	r *record
}

// Label is the value of a label: a header of the result, or a member of this name of o, of the
// result, or of the input; "" for none.
func (r Row) Label(name string) string { return string(r.r.label(name)) }

// ParseTemplate reads a template. A result is one line: a line end is added where the template has
// none. It is tried on a sample, so that a misspelt field is found before results are taken. The
// error has code bad_request.
func ParseTemplate(text string) (*Template, error) {
	if !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	t, err := template.New("template").Option("missingkey=error").Funcs(template.FuncMap{"json": toJSON}).Parse(text)
	if err != nil {
		return nil, glassq.Errorf(glassq.CodeBadRequest, "%w", err)
	}
	tmpl := &Template{t}
	for _, body := range []string{`{"i":"http://127.0.0.1/?q=7","o":{"ok":1,"rt":0.01,"code":200}}`,
		`{"i":"","o":{"ok":0}}`} {
		l := glassq.Lease{Task: glassq.Task{ID: "sample/7", Run: "sample", Body: []byte(body)}}
		var r record
		r.read(&l, new(object), time.Time{})
		if _, err := tmpl.append(nil, &r); err != nil {
			return nil, glassq.Errorf(glassq.CodeBadRequest, "%w", err)
		}
	}
	return tmpl, nil
}

func toJSON(v any) (string, error) {
	b, err := json.Marshal(v)
	return string(b), err
}

func (t *Template) append(dst []byte, r *record) ([]byte, error) {
	o := &r.out
	line := appendLine(nil, r.lease, r.body, r.obj)
	row := Row{
		ID: r.lease.TaskID(), Run: r.lease.Run, OK: o.OK, RT: o.Took.Seconds(), Lag: o.Lag.Seconds(), Code: o.Code,
		Err: o.Class, Msg: string(r.message()), Bytes: o.Bytes, Time: o.Began, Worker: string(r.worker()),
		Attempt: r.attempt(),
		Input:   string(r.input()), Host: string(r.host()), Line: string(line[:len(line)-1]), r: r,
	}
	if r.hasDue() {
		row.Due = (o.Took + o.Lag).Seconds()
	}
	b := bytes.NewBuffer(dst)
	err := t.t.Execute(b, row)
	return b.Bytes(), err
}
