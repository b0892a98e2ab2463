package dispatch

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"

	"github.com/glassq/glassq"
)

// A Format says what a line is.
type Format string

const (
	Text   Format = "text"   // the line is the body; empty lines are skipped
	NDJSON Format = "ndjson" // the line is a task, see parseJSONLine; blank lines are skipped
	CSV    Format = "csv"    // a row is a task, the first row names the columns; a row may span lines
	Vegeta Format = "vegeta" // vegeta's targets, as JSON or as lines; see targetReader
)

// CheckFormat refuses what is no format. The error has code bad_request.
func CheckFormat(f Format) error {
	switch f {
	case Text, NDJSON, CSV, Vegeta:
		return nil
	}
	return glassq.Errorf(glassq.CodeBadRequest, "format %.40q is not one of text, csv, ndjson, vegeta", string(f))
}

// LineOptions says what is made of lines. The zero value of all but Format is fine.
type LineOptions struct {
	Format   Format
	Template *Template // with {line} or {col:name}; nil: the line is the body, or the row as a JSON object
	Request  *Request  // what becomes of a line or of what Template makes; nil: that is the body
	Name     string    // of what is read, for a LineError; OpenFile has the path for ""

	// SkipBad is told of a line that cannot be read, which then is passed over and takes no
	// position; nil stops at the first one.
	SkipBad func(*LineError)

	Comments bool // lines that begin with # or // are skipped, and so are those of spaces alone
	NUL      bool // a byte 0 ends each line, and nothing else does

	// Renumber gives lines positions that have ids of their own, instead of those ids.
	Renumber bool
}

func (o *LineOptions) check() error {
	if err := CheckFormat(o.Format); err != nil {
		return err
	}
	json := o.Format == NDJSON || o.Format == Vegeta
	m := maker{tmpl: o.Template, req: o.Request}
	switch {
	case json && (o.Template != nil || o.Request != nil):
		return glassq.Errorf(glassq.CodeBadRequest, "with %s each line says its body, method and headers itself; a template is for lines of text and CSV", o.Format)
	case o.Format == CSV && o.Request != nil && o.Template == nil:
		return glassq.Errorf(glassq.CodeBadRequest, "a request needs a URL: give a template with columns of the CSV, like '{=col:url}'")
	case o.Format != CSV && m.needsColumns():
		return glassq.Errorf(glassq.CodeBadRequest, "{col:name} needs a CSV file whose first row names the columns: give --file F.csv, or --format csv")
	case o.Comments && (o.Format == CSV || o.Format == Vegeta):
		return glassq.Errorf(glassq.CodeBadRequest, "comments are skipped in lists of text and ndjson, not in %s", o.Format)
	case o.NUL && o.Format != Text:
		return glassq.Errorf(glassq.CodeBadRequest, "a byte 0 ends the lines of text only, not those of %s", o.Format)
	case o.Renumber && o.Format != NDJSON:
		return glassq.Errorf(glassq.CodeBadRequest, "only lines of ndjson have ids of their own that could be replaced")
	}
	return nil
}

// maxLine is the longest line: the largest body, as base64, with its envelope.
const maxLine = glassq.HardMaxBody/3*4 + 4 + glassq.MaxMeta*2

// A LineError tells which line could not be read as a task.
type LineError struct {
	Line uint64 // from 1, empty lines counted
	Err  error
	Name string // of what the line is in; "" when somebody else says it
}

func (e *LineError) Error() string { return atLine(e.Name, e.Line) + e.Err.Error() }

// atLine is what comes before a sentence about a line of what is called name, if that is known.
func atLine(name string, line uint64) string {
	if name != "" {
		name += ", "
	}
	return fmt.Sprintf("%sline %d: ", name, line)
}

func (e *LineError) Unwrap() error { return e.Err }

// A lineReader cuts a stream into lines without their ends (\n or \r\n, or a byte 0), and skips and
// counts empty ones.
type lineReader struct {
	r        *bufio.Reader
	format   Format
	comments bool   // skip them
	end      byte   // of a line
	line     uint64 // number of the last line, from 1
	torn     bool   // the last line had no end
	long     []byte // a line longer than r's buffer
	blank    atomic.Uint64
}

func newLineReader(r io.Reader, f Format) *lineReader {
	return &lineReader{r: bufio.NewReaderSize(r, 256<<10), format: f, end: '\n'}
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
		if b, ok := l.wanted(b); ok {
			return b, nil
		}
		if len(bytes.TrimSpace(b)) == 0 {
			l.blank.Add(1)
		}
	}
}

// wanted is what counts of a line, and whether that is one to return.
func (l *lineReader) wanted(b []byte) ([]byte, bool) {
	if l.format == NDJSON {
		b = bytes.Trim(b, " \t\r")
	}
	return b, len(b) > 0 && !(l.comments && isComment(b))
}

func (l *lineReader) ready() bool {
	return anyLine(l.r, l.end, func(b []byte) bool {
		_, ok := l.wanted(b)
		return ok
	})
}

// anyLine tells whether is holds for one of the lines that r has read from its stream, with their ends,
// and not returned yet. It asks from the first one on, until one is.
func anyLine(r *bufio.Reader, end byte, is func(line []byte) bool) bool {
	b, _ := r.Peek(r.Buffered())
	for {
		line, rest, ended := bytes.Cut(b, []byte{end})
		if !ended {
			return false
		}
		if end == '\n' {
			line = bytes.TrimSuffix(line, []byte("\r"))
		}
		if is(line) {
			return true
		}
		b = rest
	}
}

func isComment(line []byte) bool {
	line = bytes.TrimSpace(line)
	return len(line) == 0 || line[0] == '#' || bytes.HasPrefix(line, []byte("//"))
}

// errUTF16 refuses a file as Windows programs write it: as it is, its lines are no text.
var errUTF16 = glassq.Errorf(glassq.CodeBadRequest, "it is UTF-16, and UTF-8 is wanted: iconv -f UTF-16 -t UTF-8 makes it that")

// isUTF16 tells whether a stream begins as UTF-16 does, of which there is no UTF-8.
func isUTF16(begin []byte) bool {
	return bytes.HasPrefix(begin, []byte("\xff\xfe")) || bytes.HasPrefix(begin, []byte("\xfe\xff"))
}

func (l *lineReader) read() ([]byte, error) {
	if l.line == 0 {
		if begin, _ := l.r.Peek(2); isUTF16(begin) {
			return nil, errUTF16
		}
	}
	l.long = l.long[:0]
	size := 0
	for {
		b, err := l.r.ReadSlice(l.end)
		if size += len(b); size > maxLine {
			l.long = l.long[:0] // the rest is only looked at for its end
		} else if errors.Is(err, bufio.ErrBufferFull) || len(l.long) > 0 {
			l.long = append(l.long, b...)
			b = l.long
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err == io.EOF && size == 0:
			return nil, io.EOF
		case err != nil && err != io.EOF:
			return nil, fmt.Errorf("after line %d: %w", l.line, err)
		}
		l.line++
		if size > maxLine {
			return nil, &LineError{Line: l.line, Err: glassq.Errorf(glassq.CodeTooLarge, "longer than %d bytes", maxLine)}
		}
		if l.torn = b[len(b)-1] != l.end; !l.torn {
			b = b[:len(b)-1]
		}
		if l.end == '\n' {
			b = bytes.TrimSuffix(b, []byte("\r"))
		}
		return b, nil
	}
}

func (l *lineReader) at() uint64 { return l.line }

func (l *lineReader) empty() uint64 { return l.blank.Load() }

func (l *lineReader) takeRecord(r *record) (err error) {
	r.line, err = l.next()
	return err
}

// A recordReader reads records one after the other.
type recordReader interface {
	// takeRecord reads the next record, which is valid until the next call, or io.EOF. After a
	// *LineError it can be called again.
	takeRecord(r *record) error
	// at is the number of the line that the last record began at, from 1.
	at() uint64
	// ready tells, after a record, that takeRecord need not wait for more of its stream. Of a record that is
	// not one it may say either.
	ready() bool
	// empty is how many lines between records have nothing in them. It may be asked at any time.
	empty() uint64
}

func newReader(in io.Reader, opt *LineOptions) recordReader {
	if opt.Format == CSV {
		return newCSVReader(in)
	}
	l := newLineReader(in, opt.Format)
	l.comments = opt.Comments
	if opt.NUL {
		l.end = 0
	}
	if opt.Format == Vegeta {
		return &targetReader{in: l}
	}
	return l
}

// lines makes a task of each line.
type lines struct {
	in      recordReader
	opt     LineOptions
	make    maker
	rec     record
	stream  bool // what is read may come slowly: a batch does not wait for more
	held    bool // rec did not fit into the batch before
	pos     uint64
	skipped uint64
	check   *checker
	avg     int      // bytes of a body, for the next arena
	numbers []uint64 // of the lines that the last batch was made of
}

func (l *lines) lineOf(i int) uint64 { return l.numbers[i] }

func (l *lines) name() string { return l.opt.Name }

func (l *lines) empty() uint64 { return l.in.empty() }

// NewLines makes a task of each line of r. In templates {line} is the line and {0} its position
// from 0. A batch has what r has brought, so a slow stream keeps none of its lines back. It has no
// fingerprint: see Source.
func NewLines(r io.Reader, opt LineOptions) (Source, error) {
	if err := opt.check(); err != nil {
		return nil, err
	}
	l, err := newLines(r, opt)
	if err != nil {
		return nil, err
	}
	l.stream = true
	return l, nil
}

func (l *lines) waits() bool { return l.stream }

func newLines(r io.Reader, opt LineOptions) (*lines, error) {
	l := &lines{in: newReader(r, &opt), opt: opt, make: maker{tmpl: opt.Template, req: opt.Request}, avg: 64}
	if c, ok := l.in.(*csvReader); ok {
		header, err := c.header()
		if err != nil {
			return nil, err
		}
		if err := l.make.bind(header); err != nil {
			return nil, err
		}
	}
	return l, nil
}

func (l *lines) Next(dst []glassq.Task) (int, error) {
	var arena []byte
	l.numbers = l.numbers[:0]
	for n := 0; n < len(dst); {
		if !l.held {
			if n > 0 && l.stream && !l.in.ready() {
				return n, nil
			}
			if err := l.in.takeRecord(&l.rec); err != nil {
				if l.skip(err) {
					continue
				}
				return n, l.named(err)
			}
		}
		l.held = false
		size := l.rec.size()
		if n > 0 && len(arena)+size > batchBytes {
			l.held = true
			return n, nil
		}
		if l.pos == MaxTasks {
			return n, l.named(&LineError{Line: l.in.at(), Err: glassq.Errorf(glassq.CodeTooLarge, "a run has at most %d tasks",
				uint64(MaxTasks))})
		}
		if arena == nil {
			arena = make([]byte, 0, min(max(len(dst)*l.avg, size), batchBytes))
		}
		grown, err := l.task(&dst[n], arena)
		if err != nil {
			err = &LineError{Line: l.in.at(), Err: err}
			if l.skip(err) {
				continue
			}
			return n, l.named(err)
		}
		arena = grown
		l.numbers = append(l.numbers, l.in.at())
		l.pos++
		n++
		l.avg = len(arena)/n + 8
		if len(arena) >= batchBytes { // bodies may be longer than their lines
			return n, nil
		}
	}
	return len(dst), nil
}

// skip tells whether an error is a bad line that is to be passed over.
func (l *lines) skip(err error) bool {
	e, ok := errors.AsType[*LineError](err)
	if !ok || l.opt.SkipBad == nil {
		return false
	}
	l.skipped++
	l.named(e)
	l.opt.SkipBad(e)
	return true
}

// named says in an error about a line what that is in.
func (l *lines) named(err error) error {
	if e, ok := errors.AsType[*LineError](err); ok {
		e.Name = l.opt.Name
	}
	return err
}

func (r *record) size() int {
	n := len(r.line)
	for _, s := range r.row {
		n += len(s)
	}
	return n
}

// task makes a task of l.rec; its body is carved from arena, which is returned grown.
func (l *lines) task(t *glassq.Task, arena []byte) ([]byte, error) {
	start := len(arena)
	switch l.opt.Format {
	case NDJSON, Vegeta:
		// Parsed tasks may point into their line.
		arena = append(arena, l.rec.line...)
		line := arena[start:len(arena):len(arena)]
		*t = glassq.Task{}
		if l.opt.Format == Vegeta {
			t.Body, t.Type = line, glassq.TypeJSON
			return arena, l.make.key(t, &l.rec)
		}
		if err := parseJSONLine(line, t); err != nil {
			return arena, err
		}
		if l.opt.Renumber {
			t.ID = ""
		}
		if l.check == nil {
			l.check = newChecker()
		}
		if err := l.make.key(t, &l.rec); err != nil {
			return arena, err
		}
		return arena, l.check.task(t)
	}
	l.rec.number = l.pos
	arena, err := l.make.append(arena, &l.rec)
	if err != nil {
		return arena, err
	}
	body := arena[start:len(arena):len(arena)]
	*t = glassq.Task{Body: body, Type: l.make.contentType(body)}
	return arena, l.make.key(t, &l.rec)
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

// OpenFile opens the file at path as a Source of its lines; see NewLines. A regular file is read
// once from end to end for its fingerprint, which is its size and SHA-256 with the format and what
// is made of lines but not its name, and for its total. A pipe or a device has neither.
func OpenFile(path string, opt LineOptions) (*File, error) {
	if err := opt.check(); err != nil {
		return nil, err
	}
	if opt.Name == "" {
		opt.Name = path
	}
	in, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	file := &File{f: in}
	if err = file.survey(&opt); err == nil {
		file.lines, err = newLines(in, opt)
	}
	if err == nil {
		file.stream = !file.known
	}
	if err != nil {
		in.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return file, nil
}

// survey takes the fingerprint and counts the lines.
func (f *File) survey(opt *LineOptions) error {
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
	in := newReader(io.TeeReader(f.f, io.MultiWriter(sum, &size)), opt)
	if c, ok := in.(*csvReader); ok {
		if _, err := c.header(); err != nil {
			return err
		}
	}
	for r := (record{}); ; f.total++ {
		err := in.takeRecord(&r)
		if _, bad := errors.AsType[*LineError](err); bad {
			continue // whoever reads it says so
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
	}
	if _, err := f.f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	f.known = true
	f.size, f.modified = int64(size), info.ModTime()
	m := maker{tmpl: opt.Template, req: opt.Request}
	f.fingerprint = fmt.Sprintf("file %s %d bytes sha256:%x", opt.Format, size, sum.Sum(nil)) + m.describe()
	if opt.Renumber {
		f.fingerprint += " renumbered"
	}
	if opt.Comments {
		f.fingerprint += " without comments"
	}
	if opt.NUL {
		f.fingerprint += " ended by NUL"
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
		if info.Size() != f.size || !info.ModTime().Equal(f.modified) || f.pos+f.skipped != f.total {
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
