package process

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// maxLine bounds what a child may say in one line: the hardest limit of a body, and its envelope.
const maxLine = 48 << 20

var errLongLine = fmt.Errorf("a line of more than %d MiB", maxLine>>20)

// A lineReader reads lines without their ends, in memory that it uses again.
type lineReader struct {
	br   *bufio.Reader
	long []byte // a line that does not fit br
}

func newLineReader(r io.Reader) *lineReader { return &lineReader{br: bufio.NewReaderSize(r, 64<<10)} }

// next returns the next line; it is valid until the next call. A last line without an end is
// returned with io.ErrUnexpectedEOF; the end is io.EOF.
func (l *lineReader) next() ([]byte, error) {
	line, err := l.br.ReadSlice('\n')
	if err == nil {
		return line[:len(line)-1], nil
	}
	l.long = append(l.long[:0], line...)
	for errors.Is(err, bufio.ErrBufferFull) {
		if len(l.long) > maxLine {
			return l.long, errLongLine
		}
		line, err = l.br.ReadSlice('\n')
		l.long = append(l.long, line...)
	}
	switch {
	case err == nil:
		return l.long[:len(l.long)-1], nil
	case len(l.long) > 0:
		return l.long, io.ErrUnexpectedEOF
	}
	return nil, io.EOF
}
