//go:build unix

package process

import (
	"cmp"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// ownGroup makes a child the leader of a process group.
func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// terminate asks the group of p to end.
func terminate(p *os.Process) { syscall.Kill(-p.Pid, syscall.SIGTERM) } // it may have ended: no error

// kill ends the group of p.
func kill(p *os.Process) { syscall.Kill(-p.Pid, syscall.SIGKILL) } // it may have ended: no error

// readNow reads what a descriptor that does not block has, at most once; 0 for nothing.
func readNow(fd uintptr, b []byte) int {
	for {
		n, err := syscall.Read(int(fd), b)
		if err != syscall.EINTR {
			return max(n, 0)
		}
	}
}

func endingOf(s *os.ProcessState) ending {
	e := ending{code: s.ExitCode(), user: s.UserTime(), sys: s.SystemTime()}
	if ws, ok := s.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		e.code, e.signalNumber = -1, int(ws.Signal())
		e.signal = cmp.Or(unix.SignalName(ws.Signal()), ws.Signal().String())
	}
	if ru, ok := s.SysUsage().(*syscall.Rusage); ok {
		e.rss = int64(ru.Maxrss) * maxrssUnit
		if own := new(syscall.Rusage); syscall.Getrusage(syscall.RUSAGE_SELF, own) != nil || ru.Maxrss <= own.Maxrss {
			e.rss = 0 // a child begins with its parent's peak: no more is known than that its own is below
		}
	}
	return e
}
