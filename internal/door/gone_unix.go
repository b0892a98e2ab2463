//go:build unix

package door

import "syscall"

// Vanished tells whether the client's end is gone altogether, and not only closed for sending: what
// it was sent last was answered with a reset. Other errors, as of a route that is away for a while,
// leave the connection as it is.
func (c *Conn) Vanished() bool {
	sc, ok := c.Conn.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return false
	}
	gone := false
	err = raw.Control(func(fd uintptr) {
		v, err := syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_ERROR)
		gone = err == nil && (v == int(syscall.ECONNRESET) || v == int(syscall.EPIPE))
	})
	return gone && err == nil
}
