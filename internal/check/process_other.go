//go:build !unix

package check

import "os/exec"

func ownGroup(*exec.Cmd) {}

// interrupt ends the worker: there are no signals to ask it with.
func interrupt(cmd *exec.Cmd) { cmd.Process.Kill() }

func killGroup(cmd *exec.Cmd) { cmd.Process.Kill() }
