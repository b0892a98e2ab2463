package fetch

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
)

// A swap sends a request and takes the first bytes of its answer in one turn with the poller. A write
// and then a read would read once too often: an answer is never there when its request has just left. It
// waits for the socket to tell of something new, so it is for connections that have answered before and
// that were quiet since: see stale.
type swap struct {
	raw  syscall.RawConn // nil: no swap
	step func(fd uintptr) bool
	out  []byte // the request, until it is written
	in   []byte // room for the answer
	n    int    // bytes in it
	err  error  // of the write or the read
	sent bool   // all of out was written
}

// init makes swaps possible if nc is a plain socket.
func (s *swap) init(nc net.Conn) {
	tc, ok := nc.(*net.TCPConn)
	if !ok {
		return
	}
	raw, err := tc.SyscallConn()
	if err != nil {
		return
	}
	s.raw, s.step = raw, s.turn
}

// turn writes out when it is called first; afterwards, when there is something, it reads. It reports
// whether that is all.
func (s *swap) turn(fd uintptr) bool {
	if !s.sent {
		n, err := retry(syscall.Write, fd, s.out)
		if n > 0 {
			s.out = s.out[n:]
		}
		s.sent = len(s.out) == 0
		if err != syscall.EAGAIN {
			s.err = err
		}
		return !s.sent
	}
	n, err := retry(syscall.Read, fd, s.in)
	if err == syscall.EAGAIN {
		return false
	}
	s.n, s.err = n, err
	return true
}

// retry calls do until it was not interrupted. A nil error is a nil Errno.
func retry(do func(int, []byte) (int, error), fd uintptr, p []byte) (int, error) {
	for {
		if n, err := do(int(fd), p); err != syscall.EINTR {
			return n, err
		}
	}
}

// read sends out and reads into p. unsent is what could not be written at once; nothing was read then, and
// err is of the write.
func (s *swap) read(p []byte) (n int, unsent []byte, err error) {
	s.in, s.n, s.err, s.sent = p, 0, nil, false
	err = s.raw.Read(s.step)
	unsent = s.out
	s.in, s.out = nil, nil
	if err != nil {
		return 0, nil, asOp("read", err)
	}
	switch {
	case !s.sent && s.err != nil:
		return 0, unsent, asOp("write", os.NewSyscallError("write", s.err))
	case !s.sent:
		return 0, unsent, nil
	case s.err != nil:
		return 0, nil, asOp("read", os.NewSyscallError("read", s.err))
	case s.n == 0:
		return 0, nil, io.EOF
	}
	return s.n, nil, nil
}

// asOp is err as a call of package net has it.
func asOp(op string, err error) error {
	if e, ok := errors.AsType[*net.OpError](err); ok {
		e.Op = op
		return e
	}
	return &net.OpError{Op: op, Net: "tcp", Err: err}
}
