//go:build unix

package main

import (
	"os"
	"os/exec"
	"syscall"
)

// become runs a program in the place of this one; it returns when that cannot be.
func become(path string, args, env []string) error { return syscall.Exec(path, args, env) }

// detach has a process go on when the terminal of this one is closed.
func detach(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} }

// isRunning tells whether there is a process with this id.
func isRunning(pid int) bool {
	p, err := os.FindProcess(pid)
	return err == nil && p.Signal(syscall.Signal(0)) == nil
}
