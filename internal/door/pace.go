package door

import (
	"errors"
	"io"
	"os"
	"time"

	"github.com/glassq/glassq"
)

const (
	paceBytes = 10 << 10 // bytes that a sender has to bring
	paceFor   = 10 * time.Second
)

// ErrSlow refuses a body that came in with less than 1 KiB/s over 10 s.
var ErrSlow = &glassq.Error{Code: glassq.CodeUnavailable,
	Message: "the body came in with less than 1 KiB/s over 10s; send it again, in one go"}

// A Sender is the connection that a body comes from. SetReadDeadline is as that of net.Conn, and
// safe for concurrent use; a Sender without deadlines returns an error from it, and is waited for
// as long as it takes.
type Sender interface {
	io.Reader
	SetReadDeadline(t time.Time) error
}

// LongAgo is a deadline that has passed.
var LongAgo = time.Unix(1, 0)

// Discard reads past n bytes, as long as the sender keeps its pace. It returns ErrSlow,
// io.ErrUnexpectedEOF or the sender's error. The read deadline is none afterwards.
func Discard(from Sender, n int64) error {
	p := pace{from: from}
	buf := make([]byte, min(n, inConn))
	for n > 0 {
		p.begin()
		k, err := p.read(buf[:min(n, inConn)])
		if n -= int64(k); err != nil && n > 0 {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
	}
	p.pause()
	return nil
}

// A pace has a sender bring 10 KiB in every 10 s.
type pace struct {
	from Sender
	left int       // bytes that are still to come until end; none: it has not begun
	end  time.Time // the sender's read deadline
}

// begin is called before each read.
func (p *pace) begin() {
	if p.left <= 0 {
		p.left, p.end = max(p.left+paceBytes, 1), time.Now().Add(paceFor)
		p.from.SetReadDeadline(p.end)
	}
}

// read reads once.
func (p *pace) read(b []byte) (int, error) {
	n, err := p.from.Read(b)
	p.left -= n
	// A deadline that fires too early is not ours: somebody has ended all reads.
	if errors.Is(err, os.ErrDeadlineExceeded) && !time.Now().Before(p.end) {
		err = ErrSlow
	}
	return n, err
}

// pause ends the wait for the sender, until the next begin.
func (p *pace) pause() {
	p.left = 0
	p.from.SetReadDeadline(time.Time{})
}
