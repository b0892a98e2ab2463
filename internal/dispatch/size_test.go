package dispatch

import (
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/glassq/glassq"
)

// TestSmallLines: short inputs whose bodies would be long are named, and batches end when their
// bodies are long, not their lines.
func TestSmallLines(t *testing.T) {
	parse := func(s string) *Template {
		tmpl, err := ParseTemplate(s)
		if err != nil {
			t.Fatal(err)
		}
		return tmpl
	}
	long := strings.Repeat("x", 1<<20)
	many := func(s string, n int) *Template { return parse(strings.Repeat(s, n)) }
	tests := []struct {
		name string
		in   string
		opt  LineOptions
		want string // a part of the error, "" for a source that is read to its end
	}{
		{"a line many times", long + "\n", LineOptions{Format: Text, Template: many("{=line}", 1000)},
			"line 1: a body of more than"},
		{"an escaped line many times", strings.Repeat(" ", 1<<20) + "\n",
			LineOptions{Format: Text, Template: many("{line}", 1000)}, "line 1: a body of more than"},
		{"a column many times", "c\n" + long + "\n", LineOptions{Format: CSV, Template: many("{col:c}", 1000)},
			"line 2: a body of more than"},
		{"a body of a request", long + "\n", LineOptions{Format: Text, Request: &Request{Body: many("{=line}", 1000)}},
			"line 1: a body of more than"},
		{"headers of a request", long + "\n", LineOptions{Format: Text,
			Request: &Request{Header: []Field{{"A", many("{=line}", 20)}, {"B", many("{=line}", 20)}}}},
			"line 1: a body of more than"},
		{"control characters in a request", strings.Repeat("\x01", 6<<20) + "\n",
			LineOptions{Format: Text, Request: &Request{Method: "GET"}}, "line 1: a body of more than"},
		{"a long name of a column", long + "\n" + strings.Repeat("1\n", 15), LineOptions{Format: CSV}, ""},
		{"long bodies of short rows", "c\n" + strings.Repeat("0123456789\n", 15),
			LineOptions{Format: CSV, Template: many("{=col:c}", 100_000)}, ""},
		{"a body that fits", long + "\n", LineOptions{Format: Text, Template: many("{=line}", 3)}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			src, err := NewLines(strings.NewReader(tt.in), tt.opt)
			if err != nil {
				t.Fatal(err)
			}
			batch := make([]glassq.Task, 2000)
			for err == nil {
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				var n int
				n, err = src.Next(batch)
				runtime.ReadMemStats(&after)
				if used := (after.TotalAlloc - before.TotalAlloc) >> 20; used > 512 {
					t.Fatalf("%d MiB allocated for a batch", used)
				}
				size := 0
				for _, task := range batch[:n] {
					size += len(task.Body)
				}
				if n > 1 && size > batchBytes+2<<20 {
					t.Fatalf("a batch of %d bytes", size)
				}
			}
			if tt.want == "" && err != io.EOF || tt.want != "" && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v; want %q", err, tt.want)
			}
			if tt.want != "" && glassq.CodeOf(err) != glassq.CodeTooLarge {
				t.Errorf("code %s; want too_large", glassq.CodeOf(err))
			}
		})
	}
}

// TestLongNumbers: the bodies of a counter are bounded in the same way.
func TestLongNumbers(t *testing.T) {
	tmpl := &Template{parts: []part{{lit: strings.Repeat("x", glassq.HardMaxBody), kind: partNumber}, {}}}
	src, err := NewCounter(tmpl, nil, 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = src.Next(make([]glassq.Task, 100)); !errors.Is(err, glassq.ErrTooLarge) {
		t.Errorf("%v; want too_large", err)
	}
	if _, err := ParseTemplate("{0:0999999999}"); err == nil {
		t.Error("a number of 999,999,999 digits is taken")
	}
}

// TestManyColumns: a header of many columns is looked through in one go.
func TestManyColumns(t *testing.T) {
	var header strings.Builder
	for i := range 50_000 {
		header.WriteString(glassq.AssignedID(uint64(i)))
		header.WriteByte(',')
	}
	if _, err := NewLines(strings.NewReader(header.String()+"z\n"), LineOptions{Format: CSV}); err != nil {
		t.Error(err)
	}
	if _, err := NewLines(strings.NewReader(header.String()+"~5\n"), LineOptions{Format: CSV}); err == nil ||
		!strings.Contains(err.Error(), "two columns") {
		t.Errorf("%v; want two columns of one name", err)
	}
}
