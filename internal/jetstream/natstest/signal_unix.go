//go:build unix

package natstest

import "syscall"

// Pause stops the server as it is, until Continue.
func (n *Node) Pause() { n.cmd.Process.Signal(syscall.SIGSTOP) }

// Continue lets a server that was stopped go on.
func (n *Node) Continue() { n.cmd.Process.Signal(syscall.SIGCONT) }
