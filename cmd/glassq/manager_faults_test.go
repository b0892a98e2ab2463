//go:build unix

package main

import (
	"strings"
	"syscall"
	"testing"
)

// TestManagerRedHat: Pythons whose handshake has SHA-256 in the place of MD5, without its name, are
// let in.
func TestManagerRedHat(t *testing.T) {
	t.Parallel()
	for _, more := range [][]string{nil, {"--manager-strict"}} {
		addr := freeAddress(t)
		serveManager(t, addr, more...)
		for _, path := range pythons(t) {
			if out := mustPython(t, path, addr, "testdata/manager_modes.py", "redhat"); strings.TrimSpace(out) != "same" {
				t.Errorf("%s %q: %s", path, more, out)
			}
		}
	}
}

// TestManagerLarge: a value of four times the limit and more is refused as one just over it.
func TestManagerLarge(t *testing.T) {
	t.Parallel()
	addr, _ := managerServer(t)
	for _, path := range pythons(t) {
		p := mode(t, path, addr, "large")
		p.says("refused")
		p.says("x")
	}
}

// TestManagerLibrary: values of the standard library, named tuples and members of an Enum come back
// as they were, and nothing that a class asks for is called.
func TestManagerLibrary(t *testing.T) {
	t.Parallel()
	addr, _ := managerServer(t)
	for _, path := range pythons(t) {
		if out := mustPython(t, path, addr, "testdata/manager_modes.py", "library"); strings.TrimSpace(out) != "same" {
			t.Errorf("%s: %s", path, out)
		}
	}
}

// TestManagerShutdown: Queue.shutdown of Python 3.13, and what other Pythons see of it.
func TestManagerShutdown(t *testing.T) {
	t.Parallel()
	addr, _ := managerServer(t)
	for _, path := range pythons(t) {
		if out := mustPython(t, path, addr, "testdata/manager_modes.py", "shutdown"); strings.TrimSpace(out) != "z" {
			t.Errorf("%s: %s", path, out)
		}
	}
}

// TestManagerInterrupt: after Ctrl-C in a get, the thread makes calls as before.
func TestManagerInterrupt(t *testing.T) {
	t.Parallel()
	addr, c := managerServer(t)
	for _, path := range pythons(t) {
		p := mode(t, path, addr, "interrupt")
		p.says("ready")
		settled(t, c, "tasks", waits)
		if err := p.cmd.Process.Signal(syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
		p.says("0")
		settled(t, c, "tasks", waits)
		putText(t, c, "after")
		p.says("after")
		p.cmd.Wait()
		settled(t, c, "tasks", gone)
	}
}
