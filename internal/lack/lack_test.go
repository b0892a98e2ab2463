package lack

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"testing"
)

func TestOf(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want string
	}{
		{errors.New("too many open files"), ""},
		{&os.SyscallError{Syscall: "socket", Err: syscall.EMFILE}, "open files"},
		{fmt.Errorf("keep the body: %w", &fs.PathError{Op: "write", Err: syscall.ENOSPC}), "disk space"},
		{fmt.Errorf("start: %w", &fs.PathError{Op: "fork/exec", Err: syscall.EAGAIN}), "processes"},
		{syscall.EAGAIN, ""},
		{syscall.ENOMEM, "memory"},
		{syscall.ECONNREFUSED, ""},
	} {
		if got := Of(tt.err); got != tt.want {
			t.Errorf("Of(%v) = %q, want %q", tt.err, got, tt.want)
		}
	}
}
