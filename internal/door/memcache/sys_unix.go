//go:build unix

package memcache

import (
	"syscall"
)

// readArrived reads what has arrived into the buffer and never waits.
func (c *conn) readArrived(fd uintptr) bool {
	var err error
	c.nRead, err = syscall.Read(int(fd), c.in[c.w:])
	c.noteReset(err) // at the next read it is no more than an end
	return true
}

// writeSome writes answers and never waits.
func (c *conn) writeSome(fd uintptr) bool {
	c.nWritten, _ = syscall.Write(int(fd), c.desk.out) // an error shows again at the next write
	return true
}

// usage is the processor time of this process, in seconds.
func usage() (user, system float64) {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0, 0
	}
	seconds := func(t syscall.Timeval) float64 { return float64(t.Nano()) / 1e9 }
	return seconds(u.Utime), seconds(u.Stime)
}
