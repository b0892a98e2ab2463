//go:build !linux

package manager

import "syscall"

// quickAck has no counterpart here: connections cost a delayed acknowledgement.
func quickAck(syscall.RawConn) {}
