//go:build unix

package door

import "syscall"

// Vanished tells whether the client's end is gone altogether, and not only closed for sending: what
// it was sent last was answered with a reset.
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
		gone = err == nil && v != 0
	})
	return gone && err == nil
}
