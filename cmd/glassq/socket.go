package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"
)

// isSocketPath tells whether an address is the path of a Unix socket.
func isSocketPath(addr string) bool { return strings.ContainsRune(addr, '/') }

// listenUnix listens on a Unix socket that only the user of this process may connect to. A socket
// that nobody listens on any more is replaced; anything else at that path is left alone.
func listenUnix(path string) (net.Listener, error) {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, &exitError{exitUnexpected, fmt.Errorf("%w; take another path", err)}
	case info.Mode()&fs.ModeSocket == 0:
		return nil, &exitError{exitUnexpected, fmt.Errorf("%s is there and is not a socket; take another path", path)}
	default:
		nc, err := net.Dial("unix", path)
		if err == nil {
			nc.Close()
			return nil, &exitError{exitUnexpected, fmt.Errorf("%s: another program listens there; stop it, or take another path", path)}
		}
		if !errors.Is(err, syscall.ECONNREFUSED) {
			return nil, &exitError{exitUnexpected, fmt.Errorf("%w; take another path", err)}
		}
		if err := os.Remove(path); err != nil {
			return nil, &exitError{exitUnexpected, fmt.Errorf("%w; take another path", err)}
		}
	}
	ln, err := net.Listen("unix", path)
	if err != nil {
		return nil, &exitError{exitUnexpected, fmt.Errorf("%w; take another path", err)}
	}
	// Between the two calls the key protects it alone.
	if err := os.Chmod(path, 0o600); err != nil {
		ln.Close()
		return nil, &exitError{exitUnexpected, fmt.Errorf("%w; take another path", err)}
	}
	return ln, nil
}
