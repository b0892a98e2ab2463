//go:build unix

package check

import (
	"os/exec"
	"syscall"
)

// ownGroup gives the worker a process group, so that what it starts can be ended with it.
func ownGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// interrupt asks the worker, and nobody else, to end.
func interrupt(cmd *exec.Cmd) { cmd.Process.Signal(syscall.SIGTERM) }

// killGroup ends what is left of the worker's group.
func killGroup(cmd *exec.Cmd) { syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
