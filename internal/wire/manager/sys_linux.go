package manager

import "syscall"

// quickAck has what has arrived acknowledged at once. Python leaves Nagle's algorithm on and twice writes
// two small pieces in a row: the second one would wait 40 ms for a delayed acknowledgement. The option does
// not last, so it is set again before each such read.
func quickAck(raw syscall.RawConn) {
	if raw != nil {
		raw.Control(func(fd uintptr) {
			syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_QUICKACK, 1)
		})
	}
}
