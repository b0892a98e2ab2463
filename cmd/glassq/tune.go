package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"runtime/pprof"

	"github.com/spf13/cobra"
)

const softMemory = 2 << 30 // bytes where the collector works harder

// tune lets the collector of a program that moves many small things run less often, unless the
// environment says otherwise.
func tune() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(softMemory)
	}
}

// tuneSmall is tune for a program that is to stay small beside others.
func tuneSmall() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(300)
	}
}

// profileFlag adds --cpuprofile, which is for those who work on glassq.
func profileFlag(cmd *cobra.Command) *string {
	path := cmd.Flags().String("cpuprofile", "", "write a CPU profile to `file`")
	cmd.Flags().MarkHidden("cpuprofile") // it exists: no error
	return path
}

// profile starts a CPU profile, unless path is ""; the caller must call stop.
func profile(path string) (stop func(), err error) {
	if path == "" {
		return func() {}, nil
	}
	f, err := os.Create(path)
	if err != nil {
		return nil, usagef("write the profile: %w", err)
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		f.Close()
		return nil, fmt.Errorf("start the profile: %w", err)
	}
	return func() {
		pprof.StopCPUProfile()
		f.Close()
	}, nil
}

// stateDir is where data lies that no flag names a place for.
func stateDir() (string, error) {
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "glassq"), nil
	}
	if dir := os.Getenv("LOCALAPPDATA"); runtime.GOOS == "windows" && dir != "" {
		return filepath.Join(dir, "glassq"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", usagef("no home folder to keep data in: %w; name one with --data", err)
	}
	return filepath.Join(home, ".local", "state", "glassq"), nil
}
