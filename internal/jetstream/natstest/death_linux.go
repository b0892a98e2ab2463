package natstest

import "syscall"

// withParent has a process end with the program that started it, however that ends.
func withParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
