//go:build unix

package memcache

import (
	"net"
	"syscall"
	"testing"
)

// awaitInput waits until nc has something to read, and leaves it there.
func awaitInput(t *testing.T, nc *net.TCPConn) {
	t.Helper()
	raw, err := nc.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var peekErr error
	err = raw.Read(func(fd uintptr) bool {
		_, _, peekErr = syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK)
		return peekErr != syscall.EAGAIN
	})
	if err != nil || peekErr != nil {
		t.Fatalf("wait for input: %v, %v", err, peekErr)
	}
}
