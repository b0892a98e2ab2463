//go:build !linux

package manager

import "syscall"

// quickAck has no counterpart here: connections cost a delayed acknowledgement.
func quickAck(syscall.RawConn) {}

// unacknowledged is not known here.
func unacknowledged(syscall.RawConn) bool { return false }
