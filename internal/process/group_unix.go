//go:build unix

package process

import (
	"os"
	"syscall"
	"time"
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

// How a process ended.
type ending struct {
	code         int    // exit status, -1 when a signal ended it
	signal       string // name of that signal, "" for none
	signalNumber int    // 0 for none
	user         time.Duration
	sys          time.Duration
	rss          int64 // bytes resident at most, 0 when it is not known, as that of a child below the worker's own
}

func endingOf(s *os.ProcessState) ending {
	e := ending{code: s.ExitCode(), user: s.UserTime(), sys: s.SystemTime()}
	if ws, ok := s.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		e.code, e.signal, e.signalNumber = -1, signalName(ws.Signal()), int(ws.Signal())
	}
	if ru, ok := s.SysUsage().(*syscall.Rusage); ok {
		e.rss = int64(ru.Maxrss) * maxrssUnit
		if own := new(syscall.Rusage); syscall.Getrusage(syscall.RUSAGE_SELF, own) != nil || ru.Maxrss <= own.Maxrss {
			e.rss = 0 // a child begins with its parent's peak: no more is known than that its own is below
		}
	}
	return e
}

func signalName(s syscall.Signal) string {
	switch s {
	case syscall.SIGHUP:
		return "SIGHUP"
	case syscall.SIGINT:
		return "SIGINT"
	case syscall.SIGQUIT:
		return "SIGQUIT"
	case syscall.SIGILL:
		return "SIGILL"
	case syscall.SIGABRT:
		return "SIGABRT"
	case syscall.SIGBUS:
		return "SIGBUS"
	case syscall.SIGFPE:
		return "SIGFPE"
	case syscall.SIGKILL:
		return "SIGKILL"
	case syscall.SIGSEGV:
		return "SIGSEGV"
	case syscall.SIGPIPE:
		return "SIGPIPE"
	case syscall.SIGALRM:
		return "SIGALRM"
	case syscall.SIGTERM:
		return "SIGTERM"
	case syscall.SIGUSR1:
		return "SIGUSR1"
	case syscall.SIGUSR2:
		return "SIGUSR2"
	case syscall.SIGXCPU:
		return "SIGXCPU"
	case syscall.SIGXFSZ:
		return "SIGXFSZ"
	}
	return s.String()
}
