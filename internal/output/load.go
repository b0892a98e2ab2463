package output

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/jsonline"
)

// maxFileLine is the longest line that LoadSeen accepts: the largest result, escaped to the utmost.
const maxFileLine = 6*glassq.HardMaxBody + 64<<10

// LoadOptions tunes LoadSeen.
type LoadOptions struct {
	Run    string    // the run whose results count; "" counts those of all
	Format Format    // of the file: ndjson or csv; "" means ndjson
	Raw    bool      // as in Options, of CSV
	By     []By      // groupings, as in Options
	Failed io.Writer // gets failed tasks, as in Options; nil for nobody
	// Again reads the same from its beginning, while results are taken: so those of another run of the
	// same name are told from repeats. nil where that is not possible: then all are repeats.
	Again func() io.Reader
}

// LoadSeen reads what an earlier output wrote, notes its results and counts them. It returns how
// many bytes of r are whole lines: a last line without its end was torn by a crash, was never
// acked, and is to be cut off before writing goes on. A whole line that is no result is an error
// that names the line: then r is some other file. Other formats than ndjson and csv do not say
// enough to go on from; their error has code bad_request.
func LoadSeen(r io.Reader, opt LoadOptions) (seen *Seen, valid int64, err error) {
	f := newLoader(opt)
	if f.failed = newFailedList(opt.Failed); f.parse == nil {
		return nil, 0, glassq.Errorf(glassq.CodeBadRequest, "a file of format %s cannot be continued; ndjson and csv can",
			opt.Format)
	}
	if f.seen.tally, err = newTally(time.Time{}, opt.By); err != nil {
		return nil, 0, err
	}
	f.seen.tally.all.loaded = time.Now()
	if valid, err = eachLine(r, f); err != nil {
		return nil, valid, err
	}
	all := &f.seen.tally.all
	all.earlier = all.ended
	f.seen.unknown = f.failed.unknown
	if opt.Again != nil {
		f.seen.doubt(opt, valid)
	}
	return f.seen, valid, f.failed.close()
}

// eachLine has f read the whole lines of r, and returns how many bytes they are.
func eachLine(r io.Reader, f *loader) (valid int64, err error) {
	in := bufio.NewReaderSize(r, 256<<10)
	var long []byte
	for line := 1; ; line++ {
		long = long[:0]
		b, err := in.ReadSlice('\n')
		for errors.Is(err, bufio.ErrBufferFull) && len(long) <= maxFileLine {
			long = append(long, b...)
			b, err = in.ReadSlice('\n')
		}
		if len(long) > 0 {
			long = append(long, b...)
			b = long
		}
		switch {
		case err == io.EOF:
			return valid, nil
		case len(b) > maxFileLine:
			return valid, fmt.Errorf("line %d is longer than any result; this is not a file of results", line)
		case err != nil:
			return valid, fmt.Errorf("after line %d: %w", line-1, err)
		}
		if !f.line(b, line) {
			return valid, fmt.Errorf("line %d (byte %d) is no result: %s", line, valid, f.want())
		}
		valid += int64(len(b))
	}
}

// A loader is one call of LoadSeen.
type loader struct {
	opt    LoadOptions
	seen   *Seen
	parse  func(b []byte) bool // reads a line into lease; false when it is no result
	failed *failedList

	lease glassq.Lease
	obj   object
	each  func(line []byte) // gets each line that was read into lease, instead of what counts it; nil for none
}

func newLoader(opt LoadOptions) *loader {
	f := &loader{opt: opt, seen: new(Seen)}
	switch opt.Format {
	case "", NDJSON:
		f.parse = f.ndjson
	case CSV:
		f.parse = f.csv
	}
	return f
}

func (f *loader) want() string {
	if f.opt.Format == CSV {
		return "no CSV with " + csvHeader
	}
	return "no JSON object with an id"
}

// line counts a line, and reports whether it is one of ours.
func (f *loader) line(b []byte, number int) bool {
	if f.opt.Format == CSV && number == 1 {
		var ok bool
		f.seen.columns, ok = readColumns(b, f.opt.Raw)
		return ok
	}
	if !f.parse(b) {
		return false
	}
	if f.each != nil {
		f.each(b)
		return true
	}
	l := &f.lease
	if f.opt.Run != "" && l.Run != f.opt.Run {
		return true
	}
	if n, ok := position(l); ok && !f.seen.add(l.Run, n) {
		return true // twice in the file: counted once
	}
	var r record
	r.read(l, &f.obj, time.Time{})
	f.seen.tally.all.record(&r)
	if f.obj.raw {
		f.seen.tally.all.raw++
	}
	if !r.out.OK {
		f.failed.add(&r)
	}
	return true
}

func (f *loader) csv(b []byte) bool {
	f.lease = glassq.Lease{}
	return parseCSV(b, &f.lease, f.seen.columns)
}

// ndjson reads id and run of a line; the rest is read as a result is.
func (f *loader) ndjson(b []byte) bool {
	b = bytes.TrimSpace(b)
	var obj object
	ok := obj.scan(b)
	if !ok {
		return false
	}
	last := f.lease.Run
	f.lease = glassq.Lease{Task: glassq.Task{Body: b, Type: glassq.TypeJSON}}
	f.lease.ID = stringOf(b, obj.id, "")
	f.lease.Run = stringOf(b, obj.run, last)
	return f.lease.ID != ""
}

// stringOf is the JSON string at s of b; "" when there is none. When it says last it is last.
func stringOf(b []byte, s span, last string) string {
	if s.end == 0 || b[s.start] != '"' {
		return ""
	}
	v := jsonline.Plain(b[s.start:s.end])
	if string(v) == last {
		return last
	}
	return string(v)
}
