package main

import (
	"context"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/broker"
	"github.com/glassq/glassq/internal/disk"
)

// listenAsSystemd listens as systemd does, at path, and heard is what comes next there.
func listenAsSystemd(t *testing.T) (path string, heard func() string) {
	path = filepath.Join(t.TempDir(), "notify")
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { manager.Close() })
	if err := manager.SetReadDeadline(time.Now().Add(tooLong)); err != nil {
		t.Fatal(err)
	}
	return path, func() string {
		b := make([]byte, 4096)
		n, err := manager.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(b[:n]))
	}
}

// A service manager hears when the doors are open, that the queue answers, and that the server
// stops.
func TestServiceManager(t *testing.T) {
	if signal.Ignored(syscall.SIGHUP) {
		t.Skip("SIGHUP is ignored, as under nohup, and so by what is started here")
	}
	path, heard := listenAsSystemd(t)
	addr := freeAddress(t)
	p := start(t, []string{"NOTIFY_SOCKET=" + path, "WATCHDOG_USEC=300000"}, "serve", "--data", t.TempDir(),
		"--http", addr, "--memcached", closedDoor)
	if first := heard(); first != "READY=1" {
		t.Errorf("first heard %q, want READY=1", first)
	}
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatalf("the server said that it is ready, but: %v", err)
	}
	c.Close()
	for range 2 {
		if next := heard(); next != "WATCHDOG=1" {
			t.Errorf("then heard %q, want WATCHDOG=1", next)
		}
	}
	if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	news := func() string {
		for {
			if next := heard(); next != "WATCHDOG=1" {
				return next
			}
		}
	}
	if next := news(); !strings.HasPrefix(next, "RELOADING=1\nMONOTONIC_USEC=") {
		t.Errorf("on SIGHUP heard %q, want RELOADING=1 with MONOTONIC_USEC", next)
	}
	if next := news(); next != "READY=1" {
		t.Errorf("then heard %q, want READY=1", next)
	}
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if last := news(); last != "STOPPING=1" {
		t.Errorf("at last heard %q, want STOPPING=1", last)
	}
	p.ends()
}

// lone is a gateway that has heard of no owner for long.
type lone struct{ glassq.Store }

func (lone) Stats(context.Context) (glassq.Stats, error) {
	return glassq.Stats{}, glassq.Errorf(glassq.CodeUnavailable, "no owner")
}

// TestWatchdogOfLoneGateway: a gateway that is cut off from its store answers, so it is not started again.
func TestWatchdogOfLoneGateway(t *testing.T) {
	path, heard := listenAsSystemd(t)
	t.Setenv("NOTIFY_SOCKET", path)
	t.Setenv("WATCHDOG_USEC", "300000")
	e, err := disk.Open("mem:", disk.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	ctx, cancel := context.WithCancel(t.Context())
	m := ready(ctx, broker.New(lone{e}, glassq.Limits{}))
	defer m.wait()
	defer cancel()
	for _, want := range []string{"READY=1", "WATCHDOG=1", "WATCHDOG=1"} {
		if next := heard(); next != want {
			t.Fatalf("heard %q, want %s", next, want)
		}
	}
}
