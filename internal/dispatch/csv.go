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
	"sync/atomic"

	"github.com/glassq/glassq"
)

// A csvReader reads the rows of a CSV file (RFC 4180; the first row names the columns).
type csvReader struct {
	in   *limitReader
	buf  *bufio.Reader // between in and csv
	csv  *csv.Reader
	line uint64 // that the last row began at

	end   uint64        // the line that it ended at
	blank atomic.Uint64 // lines between rows, which csv passes over
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

func (c *csvReader) empty() uint64 { return c.blank.Load() }

// between notes that the rows go on with what begins and ends at these lines.
func (c *csvReader) between(begins, ends uint64) {
	if begins > c.end+1 {
		c.blank.Add(begins - c.end - 1)
	}
	c.end = ends
}

// ended is the line that a row ended at: its last field may have had lines of its own.
func (c *csvReader) ended(row []string) uint64 {
	last := len(row) - 1
	line, _ := c.csv.FieldPos(last)
	return uint64(line + strings.Count(row[last], "\n"))
}

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
		c.between(c.line, c.ended(row))
		return nil
	}
	if e, ok := errors.AsType[*csv.ParseError](err); ok {
		c.line = uint64(e.StartLine)
		if errors.Is(err, csv.ErrFieldCount) {
			c.between(c.line, c.ended(row))
			return &LineError{Line: c.line, Err: glassq.Errorf(glassq.CodeBadRequest,
				"columns in the first row: %d, in this one: %d", c.csv.FieldsPerRecord, len(row))}
		}
		c.between(c.line, uint64(e.Line))
		return &LineError{Line: c.line, Err: glassq.Errorf(glassq.CodeBadRequest, "column %d: %v", e.Column, e.Err)}
	}
	if err == io.EOF {
		c.between(c.in.lines+1, c.in.lines)
		return err
	}
	return fmt.Errorf("after line %d: %w", c.line, err)
}

// A limitReader ends a row that has no end, such as one with an open quote, before it fills memory.
type limitReader struct {
	r    io.Reader
	left int // bytes that may still be read for this row

	lines uint64 // that have ended
}

func (l *limitReader) Read(p []byte) (int, error) {
	if l.left <= 0 {
		return 0, glassq.Errorf(glassq.CodeTooLarge, "a row longer than %d bytes; is a quote left open?", maxLine)
	}
	n, err := l.r.Read(p)
	l.left -= n
	l.lines += uint64(bytes.Count(p[:n], []byte{'\n'}))
	return n, err
}
