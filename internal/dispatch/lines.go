package dispatch

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
	"unicode/utf8"

	"github.com/glassq/glassq"
)

// A Format says what a line is.
type Format string

const (
	Text   Format = "text"   // the line is the body; empty lines are skipped
	NDJSON Format = "ndjson" // the line is a task, see parseJSONLine; blank lines are skipped
)

// maxLine is the longest line: the largest body, as base64, with its envelope.
const maxLine = glassq.HardMaxBody/3*4 + 4 + glassq.MaxMeta*2

// A LineError tells which line could not be read as a task.
type LineError struct {
	Line uint64 // from 1, empty lines counted
	Err  error
}

func (e *LineError) Error() string { return fmt.Sprintf("line %d: %v", e.Line, e.Err) }

func (e *LineError) Unwrap() error { return e.Err }

// A lineReader cuts a stream into lines without their ends (\n or \r\n) and skips empty ones.
type lineReader struct {
	r      *bufio.Reader
	format Format
	line   uint64 // number of the last line, from 1
	long   []byte // a line longer than r's buffer
}

func newLineReader(r io.Reader, f Format) *lineReader {
	return &lineReader{r: bufio.NewReaderSize(r, 256<<10), format: f}
}

// next returns the next line that is not empty, which is valid until the next call, or io.EOF.
func (l *lineReader) next() ([]byte, error) {
	for {
		b, err := l.read()
		if err != nil {
			return nil, err
		}
		if l.line == 1 {
			b = bytes.TrimPrefix(b, []byte("\xef\xbb\xbf"))
		}
		if l.format == NDJSON {
			b = bytes.Trim(b, " \t\r")
		}
		if len(b) > 0 {
			return b, nil
		}
	}
}

func (l *lineReader) read() ([]byte, error) {
	l.long = l.long[:0]
	for {
		b, err := l.r.ReadSlice('\n')
		if len(l.long)+len(b) > maxLine {
			return nil, &LineError{Line: l.line + 1, Err: glassq.Errorf(glassq.CodeTooLarge, "longer than %d bytes", maxLine)}
		}
		if errors.Is(err, bufio.ErrBufferFull) || len(l.long) > 0 {
			l.long = append(l.long, b...)
			b = l.long
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err == io.EOF && len(b) == 0:
			return nil, io.EOF
		case err != nil && err != io.EOF:
			return nil, fmt.Errorf("after line %d: %w", l.line, err)
		}
		l.line++
		b = bytes.TrimSuffix(b, []byte("\n"))
		return bytes.TrimSuffix(b, []byte("\r")), nil
	}
}

// lines makes a task of each line.
type lines struct {
	in   *lineReader
	tmpl *Template // nil: the line is the body
	pos  uint64
	held []byte // a line that did not fit into the batch before; nil for none
	avg  int    // bytes of a body, for the next arena
}

// NewLines makes a task of each line of r. With a template, {line} is the line and {0} its position
// from 0; lines are text then. It has no fingerprint: see Source.
func NewLines(r io.Reader, f Format, t *Template) (Source, error) {
	if err := checkLines(f, t); err != nil {
		return nil, err
	}
	return newLines(r, f, t), nil
}

func newLines(r io.Reader, f Format, t *Template) *lines {
	return &lines{in: newLineReader(r, f), tmpl: t, avg: 64}
}

func checkLines(f Format, t *Template) error {
	switch {
	case f != Text && f != NDJSON:
		return glassq.Errorf(glassq.CodeBadRequest, "format %.40q is not one of text, ndjson", string(f))
	case f == NDJSON && t != nil:
		return glassq.Errorf(glassq.CodeBadRequest, "a template takes lines of text; with ndjson each line says its body itself")
	}
	return nil
}

func (l *lines) Next(dst []glassq.Task) (int, error) {
	var arena []byte
	for n := range dst {
		line := l.held
		l.held = nil
		if line == nil {
			var err error
			if line, err = l.in.next(); err != nil {
				return n, err
			}
			if n > 0 && len(arena)+len(line) > batchBytes {
				l.held = bytes.Clone(line)
				return n, nil
			}
		}
		if l.pos == MaxTasks {
			return n, &LineError{Line: l.in.line, Err: glassq.Errorf(glassq.CodeTooLarge, "a run has at most %d tasks", uint64(MaxTasks))}
		}
		if arena == nil {
			arena = make([]byte, 0, min(max(len(dst)*l.avg, len(line)), batchBytes))
		}
		var err error
		if arena, err = l.task(&dst[n], arena, line); err != nil {
			return n, &LineError{Line: l.in.line, Err: err}
		}
		l.pos++
		l.avg = len(arena)/(n+1) + 8
	}
	return len(dst), nil
}

// task makes a task of a line; its body is carved from arena, which is returned grown.
func (l *lines) task(t *glassq.Task, arena, line []byte) ([]byte, error) {
	start := len(arena)
	if l.in.format == NDJSON {
		// Parsed tasks may point into their line.
		arena = append(arena, line...)
		*t = glassq.Task{}
		return arena, parseJSONLine(arena[start:len(arena):len(arena)], t)
	}
	if l.tmpl != nil {
		arena = l.tmpl.Append(arena, l.pos, line)
	} else {
		arena = append(arena, line...)
	}
	*t = glassq.Task{Body: arena[start:len(arena):len(arena)], Type: glassq.TypeText}
	if !utf8.Valid(t.Body) {
		t.Type = glassq.TypeOctets
	}
	return arena, nil
}

func (l *lines) Fingerprint() string { return "" }

func (l *lines) Total() (uint64, bool) { return 0, false }

// A File is the Source of a file. It belongs to one goroutine and must be closed.
type File struct {
	*lines
	f           *os.File
	fingerprint string
	total       uint64
	known       bool
	size        int64
	modified    time.Time
}

// OpenFile opens the file at path as a Source of its lines; t as in NewLines. A regular file is read
// once from end to end for its fingerprint, which is its size and SHA-256 with the format and the
// template but not its name, and for its total. A pipe or a device has neither.
func OpenFile(path string, f Format, t *Template) (*File, error) {
	if err := checkLines(f, t); err != nil {
		return nil, err
	}
	in, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	file := &File{f: in}
	if err := file.survey(f, t); err != nil {
		in.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	file.lines = newLines(in, f, t)
	return file, nil
}

// survey takes the fingerprint and counts the lines.
func (f *File) survey(format Format, t *Template) error {
	info, err := f.f.Stat()
	if err != nil {
		return err
	}
	if info.IsDir() {
		return errors.New("a folder, not a file")
	}
	if !info.Mode().IsRegular() {
		return nil
	}
	sum := sha256.New()
	var size countWriter
	in := newLineReader(io.TeeReader(f.f, io.MultiWriter(sum, &size)), format)
	for {
		if _, err := in.next(); err == io.EOF {
			break
		} else if err != nil {
			return err
		}
		f.total++
	}
	if _, err := f.f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	f.known = true
	f.size, f.modified = int64(size), info.ModTime()
	f.fingerprint = fmt.Sprintf("file %s %d bytes sha256:%x", format, size, sum.Sum(nil))
	if t != nil {
		f.fingerprint += " template " + shorten(t.text)
	}
	return nil
}

// Next is Source's. A file that was changed since it was opened is an error: positions and
// fingerprint would no longer fit.
func (f *File) Next(dst []glassq.Task) (int, error) {
	n, err := f.lines.Next(dst)
	if err == io.EOF && f.known {
		info, serr := f.f.Stat()
		if serr != nil {
			return n, serr
		}
		if info.Size() != f.size || !info.ModTime().Equal(f.modified) || f.pos != f.total {
			return n, fmt.Errorf("%s was changed while it was read; dispatch it again under another --run", f.f.Name())
		}
	}
	return n, err
}

// Fingerprint is Source's.
func (f *File) Fingerprint() string { return f.fingerprint }

// Total is Source's.
func (f *File) Total() (uint64, bool) { return f.total, f.known }

// Close closes the file.
func (f *File) Close() error { return f.f.Close() }

type countWriter int64

func (c *countWriter) Write(p []byte) (int, error) {
	*c += countWriter(len(p))
	return len(p), nil
}
