//go:build unix

package main

import (
	"fmt"
	"os"
	"runtime"
	"syscall"
	"time"
)

// residentMost is the most memory that a process which has ended held at one time.
func residentMost(p *os.ProcessState) string {
	u, ok := p.SysUsage().(*syscall.Rusage)
	if !ok {
		return "unknown"
	}
	bytes := float64(u.Maxrss)
	if runtime.GOOS != "darwin" {
		bytes *= 1024
	}
	return fmt.Sprintf("%.1f MB", bytes/1e6)
}

// processor is how much processor time this program has used.
func processor() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// userTime is the part of processor that is not the system's.
func userTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano())
}
