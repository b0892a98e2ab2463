package process

import (
	"os"
	"syscall"
)

// outPipe is os.Pipe for what a child writes. Its end is no business of the poller, which os.Pipe
// would tell of it and, as a child wants it blocking, untell: a dozen system calls per process.
func outPipe() (ours, theirs *os.File, err error) {
	var p [2]int
	if err := syscall.Pipe2(p[:], syscall.O_CLOEXEC); err != nil {
		return nil, nil, os.NewSyscallError("pipe2", err)
	}
	if err := syscall.SetNonblock(p[0], true); err != nil {
		syscall.Close(p[0])
		syscall.Close(p[1])
		return nil, nil, os.NewSyscallError("fcntl", err)
	}
	return os.NewFile(uintptr(p[0]), "|0"), os.NewFile(uintptr(p[1]), "|1"), nil
}

// filledPipe is the reading end of a pipe that has body in it, which is at most smallBody, and no
// writer.
func filledPipe(body []byte) (*os.File, error) {
	var p [2]int
	if err := syscall.Pipe2(p[:], syscall.O_CLOEXEC); err != nil {
		return nil, os.NewSyscallError("pipe2", err)
	}
	_, err := syscall.Write(p[1], body) // there is room: it neither waits nor writes a part
	syscall.Close(p[1])
	if err != nil {
		syscall.Close(p[0])
		return nil, os.NewSyscallError("write", err)
	}
	return os.NewFile(uintptr(p[0]), "|0"), nil
}
