// Package lack tells errors that come of what this program itself has too little of, such as open
// files.
package lack

import (
	"errors"
	"io/fs"
	"syscall"
)

// Of names what of its own this program lacks when err says so, else "".
func Of(err error) string {
	errno, ok := errors.AsType[syscall.Errno](err)
	if !ok {
		return ""
	}
	switch errno {
	case syscall.EMFILE, syscall.ENFILE:
		return "open files"
	case syscall.ENOMEM, syscall.ENOBUFS:
		return "memory"
	case syscall.ENOSPC, syscall.EDQUOT:
		return "disk space"
	case syscall.EAGAIN:
		if e, ok := errors.AsType[*fs.PathError](err); ok && e.Op == "fork/exec" {
			return "processes"
		}
	}
	return ""
}
