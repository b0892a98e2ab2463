package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// openTerminal makes a terminal of so many columns, 0 for one that does not say, and returns both
// its ends.
func openTerminal(t *testing.T, columns uint16) (ours, theirs *os.File) {
	t.Helper()
	ours, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("left out: no terminals here: %v", err)
	}
	t.Cleanup(func() { ours.Close() })
	fd := int(ours.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if theirs, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0); err != nil {
		t.Fatal(err)
	}
	if columns > 0 {
		if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: columns}); err != nil {
			t.Fatal(err)
		}
	}
	return ours, theirs
}

// onTerminal runs the program to its end on a terminal and returns all that it showed.
func onTerminal(t *testing.T, columns uint16, env []string, args ...string) (shown string, code int) {
	t.Helper()
	ours, theirs := openTerminal(t, columns)
	cmd := exec.CommandContext(t.Context(), binary, args...)
	cmd.Env = environment(t, env...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = theirs, theirs, theirs
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	theirs.Close() // so that reading ends with the program
	var b bytes.Buffer
	if _, err := b.ReadFrom(ours); err != nil && !errors.Is(err, syscall.EIO) {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return b.String(), cmd.ProcessState.ExitCode()
}

// What a person sees on a terminal: a bar each for put, done and out; no colours, with NO_COLOR or
// without; nothing but lines on one that cannot move its cursor, and neither with --quiet.
func TestTerminal(t *testing.T) {
	t.Parallel()
	f := newTestbed(t)
	colour := regexp.MustCompile(`\x1b\[[0-9;]*m`)
	bar := func(name string) *regexp.Regexp {
		return regexp.MustCompile(name + ` +\[#+\]  300 of 300 \(100%\)`)
	}
	for _, tt := range []struct {
		name    string
		columns uint16
		env     string
		quiet   bool
		bars    bool
	}{
		{"terminal", 100, "TERM=xterm-256color", false, true},
		{"no colour", 100, "NO_COLOR=1", false, true},
		{"unknown width", 0, "TERM=xterm", false, true},
		{"narrow", 40, "TERM=xterm", false, true},
		{"dumb", 100, "TERM=dumb", false, false},
		{"quiet", 100, "TERM=xterm", true, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			args := []string{"run", f.url, "-n", "300"}
			if tt.quiet {
				args = append(args, "--quiet")
			}
			shown, code := onTerminal(t, tt.columns, []string{"TERM=xterm", tt.env}, args...)
			if code != 0 || !strings.Contains(shown, "put 300 = ok 300 + failed 0 + dead 0 + pending 0    missing 0   duplicate 0") {
				t.Fatalf("exit %d, %q; want 0, and the books", code, shown)
			}
			if s := colour.FindString(shown); s != "" {
				t.Errorf("there is a colour, %q, in %q", s, shown)
			}
			for _, name := range []string{"put", "done", "out"} {
				if bar(name).MatchString(shown) != tt.bars {
					t.Errorf("bar of %s: %v, want %v: %q", name, !tt.bars, tt.bars, shown)
				}
			}
			if !tt.bars && strings.Contains(shown, "\x1b") {
				t.Errorf("the cursor is moved: %q", shown)
			}
		})
	}
}

// Without a template or a file, dispatch on a terminal does not wait for lines that nobody types.
func TestDispatchOnTerminal(t *testing.T) {
	t.Parallel()
	shown, code := onTerminal(t, 80, []string{"TERM=xterm"}, "dispatch", "--server", "http://"+freeAddress(t))
	if code != exitUsage || !strings.Contains(shown, "nothing to do: give a template with -n, or --file F") {
		t.Errorf("exit %d, %q; want 2, and what to give", code, shown)
	}
}

// TestTopKeys: on a terminal each frame takes the place of the one before, keys are taken and not
// shown, and the terminal is as before at the end.
func TestTopKeys(t *testing.T) {
	t.Parallel()
	f := newServerBed(t)
	f.do(0, "put", "mails", "x", "--run", "spring")
	ours, theirs := openTerminal(t, 100)
	before, err := unix.IoctlGetTermios(int(theirs.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), binary, "top", "--every", "100ms")
	cmd.Env = environment(t, append(f.env, "TERM=xterm")...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = theirs, theirs, theirs
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var shown bytes.Buffer
	buf := make([]byte, 4096)
	// see reads on until text is shown, and forgets what came before.
	see := func(text string) {
		t.Helper()
		for {
			if i := bytes.Index(shown.Bytes(), []byte(text)); i >= 0 {
				shown.Next(i)
				return
			}
			n, err := ours.Read(buf)
			if err != nil {
				t.Fatalf("top ended before it showed %q: %q, %v", text, shown.String(), err)
			}
			shown.Write(buf[:n])
		}
	}
	see("mails")
	see("spring  open")
	see("\x1b[J")
	for _, step := range []struct{ key, shows string }{{"?", "q, Ctrl-C "}, {"?", "READY"}, {"\t", "RUN "}, {"\x1b[A", "RUN "}} {
		if _, err := ours.WriteString(step.key); err != nil {
			t.Fatal(err)
		}
		see(step.shows)
	}
	if _, err := ours.WriteString("q"); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("after q: %v", err)
	}
	after, err := unix.IoctlGetTermios(int(theirs.Fd()), unix.TCGETS)
	if err != nil || *after != *before {
		t.Errorf("the terminal was %+v and is %+v, %v", before, after, err)
	}
	theirs.Close()
	if rest := shown.String(); strings.Contains(rest, "^[") {
		t.Errorf("keys are shown: %q", rest)
	}
}

// TestWorkerOnTerminal: a worker tells of failures as they come, on a terminal; elsewhere and with
// --quiet it does not.
func TestWorkerOnTerminal(t *testing.T) {
	t.Parallel()
	f := newServerBed(t)
	for _, tt := range []struct {
		name string
		more []string
		want bool
	}{{"terminal", nil, true}, {"quiet", []string{"--quiet"}, false}} {
		f.do(0, "dispatch", "http://"+freeAddress(t)+"/{0}", "-n", "1", "--run", tt.name, "--queue", tt.name, "--quiet")
		shown, code := onTerminal(t, 120, append(f.env, "TERM=xterm"), append([]string{"work", "http", "--queue", tt.name,
			"--until-done", tt.name}, tt.more...)...)
		if code != exitNotWell || strings.Contains(shown, "glassq work http: failed: refused") != tt.want {
			t.Errorf("%s: exit %d, %q; want %d, a failure told: %v", tt.name, code, shown, exitNotWell, tt.want)
		}
	}
}
