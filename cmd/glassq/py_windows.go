package main

import (
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
)

// become runs a program to its end, and ends with its exit code; it returns when that cannot be.
func become(path string, args, env []string) error {
	signal.Ignore(os.Interrupt) // the program hears of it, too
	cmd := &exec.Cmd{Path: path, Args: args, Env: env, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr}
	err := cmd.Run()
	if ended, ok := errors.AsType[*exec.ExitError](err); ok {
		os.Exit(ended.ExitCode())
	}
	if err == nil {
		os.Exit(exitFine)
	}
	return err
}

// detachedProcess is DETACHED_PROCESS of CreateProcess: no console.
const detachedProcess = 8

// detach has a process go on when the console of this one is closed.
func detach(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{CreationFlags: detachedProcess | syscall.CREATE_NEW_PROCESS_GROUP}
}

// isRunning tells whether there is a process with this id.
func isRunning(pid int) bool {
	p, err := os.FindProcess(pid)
	if err == nil {
		p.Release()
	}
	return err == nil
}
