package manager

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// quickAck has what has arrived acknowledged at once. Python leaves Nagle's algorithm on and twice
// writes two small pieces in a row: the second one would wait 40 ms for a delayed acknowledgement.
// The option does not last, so it is set again before each such read.
func quickAck(raw syscall.RawConn) {
	if raw != nil {
		raw.Control(func(fd uintptr) {
			syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_QUICKACK, 1)
		})
	}
}

// unacknowledged tells whether something that was written has not reached the other side's system.
func unacknowledged(raw syscall.RawConn) bool {
	left := 0
	if raw != nil {
		raw.Control(func(fd uintptr) {
			if n, err := unix.IoctlGetInt(int(fd), unix.SIOCOUTQ); err == nil {
				left = n
			}
		})
	}
	return left > 0
}
