//go:build !unix

package process

import (
	"os"
	"syscall"
)

// ownGroup is nothing here: a time-out ends the child alone, not what it started.
func ownGroup() *syscall.SysProcAttr { return nil }

// terminate ends p: it cannot be asked to.
func terminate(p *os.Process) { p.Kill() } // it may have ended: no error

// kill ends p.
func kill(p *os.Process) { p.Kill() } // it may have ended: no error

// readNow is not needed: pipes have no deadlines here.
func readNow(uintptr, []byte) int { return 0 }

func endingOf(s *os.ProcessState) ending {
	return ending{code: s.ExitCode(), user: s.UserTime(), sys: s.SystemTime()}
}
