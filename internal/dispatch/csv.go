package dispatch

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/glassq/glassq"
)

// A csvReader reads the rows of a CSV file (RFC 4180; the first row names the columns).
type csvReader struct {
	in   *limitReader
	buf  *bufio.Reader // between in and csv
	csv  *csv.Reader
	line uint64
}

func newCSVReader(r io.Reader) *csvReader {
	in := &limitReader{r: r}
	c := &csvReader{in: in, buf: bufio.NewReaderSize(in, 256<<10)}
	c.csv = csv.NewReader(c.buf)
	c.csv.ReuseRecord = true
	return c
}

// header reads the names of the columns.
func (c *csvReader) header() ([]string, error) {
	var r record
	err := c.takeRecord(&r)
	if err == io.EOF {
		return nil, glassq.Errorf(glassq.CodeBadRequest, "an empty CSV file: its first row names the columns")
	}
	if err != nil {
		return nil, err
	}
	if isUTF16([]byte(r.row[0])) {
		return nil, errUTF16
	}
	names := slices.Clone(r.row)
	names[0] = strings.TrimPrefix(names[0], "\ufeff")
	seen := make(map[string]bool, len(names))
	for _, name := range names {
		if seen[name] {
			return nil, &LineError{Line: 1, Err: glassq.Errorf(glassq.CodeBadRequest, "two columns are named %.60q", name)}
		}
		seen[name] = true
	}
	return names, nil
}

func (c *csvReader) at() uint64 { return c.line }

// ready looks for a line that ends a row: not an empty one, and not one inside of quotes.
func (c *csvReader) ready() bool {
	quotes := 0
	return anyLine(c.buf, '\n', func(line []byte) bool {
		quotes += bytes.Count(line, []byte{'"'})
		return len(line) > 0 && quotes%2 == 0
	})
}

func (c *csvReader) takeRecord(r *record) error {
	c.in.left = maxLine
	row, err := c.csv.Read()
	r.row = row
	if err == nil {
		line, _ := c.csv.FieldPos(0)
		c.line = uint64(line)
		return nil
	}
	if e, ok := errors.AsType[*csv.ParseError](err); ok {
		c.line = uint64(e.StartLine)
		if errors.Is(err, csv.ErrFieldCount) {
			return &LineError{Line: c.line, Err: glassq.Errorf(glassq.CodeBadRequest,
				"columns in the first row: %d, in this one: %d", c.csv.FieldsPerRecord, len(row))}
		}
		return &LineError{Line: c.line, Err: glassq.Errorf(glassq.CodeBadRequest, "column %d: %v", e.Column, e.Err)}
	}
	if err == io.EOF {
		return err
	}
	return fmt.Errorf("after line %d: %w", c.line, err)
}

// A limitReader ends a row that has no end, such as one with an open quote, before it fills memory.
type limitReader struct {
	r    io.Reader
	left int // bytes that may still be read for this row
}

func (l *limitReader) Read(p []byte) (int, error) {
	if l.left <= 0 {
		return 0, glassq.Errorf(glassq.CodeTooLarge, "a row longer than %d bytes; is a quote left open?", maxLine)
	}
	n, err := l.r.Read(p)
	l.left -= n
	return n, err
}
