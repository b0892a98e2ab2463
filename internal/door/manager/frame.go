package manager

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

const (
	readStep = 64 << 10 // most bytes that an announced length costs before they arrive
	maxHead  = 12       // bytes of the head of a message
)

// errFrame ends a connection: behind a bad length nothing can be found again.
var errFrame = errors.New("bad length of a message")

// errOversize is a message beyond the limit, which may be read past.
var errOversize = errors.New("message over the limit")

// readLength reads the head of a message: four bytes, big-endian and signed, or -1 and eight bytes.
// io.EOF is the end between two messages.
func readLength(r *bufio.Reader) (int64, error) {
	var b [8]byte
	if _, err := io.ReadFull(r, b[:4]); err != nil {
		return 0, err
	}
	switch n := int32(binary.BigEndian.Uint32(b[:4])); {
	case n >= 0:
		return int64(n), nil
	case n != -1:
		return 0, fmt.Errorf("%w: %d", errFrame, n)
	}
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return 0, noEOF(err)
	}
	n := binary.BigEndian.Uint64(b[:])
	if n > 1<<62 {
		return 0, fmt.Errorf("%w: %d", errFrame, n)
	}
	return int64(n), nil
}

// readBody appends n bytes to buf[:0], growing it as they arrive.
func readBody(r io.Reader, buf []byte, n int64) ([]byte, error) {
	buf = buf[:0]
	for int64(len(buf)) < n {
		step := int(min(n-int64(len(buf)), readStep))
		at := len(buf)
		if cap(buf)-at < step {
			grown := make([]byte, at, min(n, int64(max(2*cap(buf), at+step))))
			copy(grown, buf)
			buf = grown
		}
		buf = buf[:at+step]
		if _, err := io.ReadFull(r, buf[at:]); err != nil {
			return buf[:at], noEOF(err)
		}
	}
	return buf, nil
}

// readFrame reads a whole message of at most limit bytes into buf, which it may replace.
func readFrame(r *bufio.Reader, buf []byte, limit int64) ([]byte, error) {
	n, err := readLength(r)
	if err != nil {
		return buf, err
	}
	if n > limit {
		return buf, fmt.Errorf("%w: %d bytes", errOversize, n)
	}
	return readBody(r, buf, n)
}

// noEOF makes the end within a message an error of its own.
func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// beginFrame makes room for the head of a message in buf[:0]; endFrame fills it in.
func beginFrame(buf []byte) []byte { return append(buf[:0], 0, 0, 0, 0) }

func endFrame(buf []byte) []byte {
	binary.BigEndian.PutUint32(buf, uint32(len(buf)-4))
	return buf
}
