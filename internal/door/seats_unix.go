//go:build unix

package door

import "syscall"

// AllSeats is how many connections this process can have: three quarters of its file descriptors,
// so that the store always has some.
func AllSeats() int64 {
	var lim syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &lim) != nil || lim.Cur > 1<<30 {
		return 1 << 30
	}
	return max(1, int64(lim.Cur)/4*3)
}
