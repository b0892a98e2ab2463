package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"runtime/pprof"
	"sync"
	"time"

	"github.com/spf13/cobra"
)

const (
	mostPercent  = 400       // of the live heap that may be garbage, while that is little
	mostGarbage  = 128 << 20 // bytes of garbage between two collections, once the live heap is large
	gatewayMost  = 24 << 20  // the same of a gateway, which lives beside the servers of its store
	leastGarbage = 25        // per cent of the live heap that may be garbage however large it is

	restEvery = 20 * time.Second // a program that collected nothing for that long is idle
	mostIdle  = 48 << 20         // bytes that an idle one may have beyond those it had when it last gave some back
)

// tune lets the collector of a program that moves many small things run less often, unless the
// environment says otherwise: a small heap may grow to five times its size, a large one, which
// holds a backlog, by garbage bytes. While the program is idle, it gives memory back; the caller
// must call stop, which ends that.
func tune(garbage uint64) (stop func()) {
	limitMemory()
	if os.Getenv("GOGC") != "" {
		return func() {}
	}
	debug.SetGCPercent(mostPercent)
	(&pulse{garbage: garbage}).beat()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { giveBack(ctx) })
	return func() {
		cancel()
		wg.Wait()
	}
}

// giveBack returns memory to the system while the program is idle, until ctx is done. Left alone, Go
// keeps what a burst took until the next collection, of which an idle program has one in two minutes,
// and afterwards keeps as much as the heap may grow to.
func giveBack(ctx context.Context) {
	figures := []metrics.Sample{{Name: "/gc/cycles/total:gc-cycles"}, {Name: "/memory/classes/total:bytes"},
		{Name: "/memory/classes/heap/released:bytes"}}
	look := func() (cycles, resident uint64) {
		metrics.Read(figures)
		return figures[0].Value.Uint64(), figures[1].Value.Uint64() - figures[2].Value.Uint64()
	}
	before, kept := look()
	rest := time.NewTicker(restEvery)
	defer rest.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-rest.C:
		}
		cycles, resident := look()
		kept = min(kept, resident)
		if idle := cycles == before; idle && isMuch(resident, kept) {
			debug.FreeOSMemory()
			cycles, kept = look()
		}
		before = cycles
	}
}

// isMuch tells whether giving back is worth a collection, which looks at all that is live: a large
// heap that grows slowly, as a backlog does, is collected no more often than without it.
func isMuch(resident, kept uint64) bool {
	return resident > kept+max(mostIdle, kept/100*leastGarbage)
}

// A pulse is garbage as soon as it is made, so that the collector calls it once in each of its
// rounds. Its pointer keeps it apart from other small objects, with which it would live on.
type pulse struct {
	garbage uint64 // of tune
	_       *byte
}

// beat sets by how much the heap may grow until the next collection.
func (p *pulse) beat() {
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	if live[0].Value.Kind() == metrics.KindUint64 {
		percent := p.garbage * 100 / max(live[0].Value.Uint64(), 1)
		debug.SetGCPercent(int(min(max(percent, leastGarbage), mostPercent)))
	}
	runtime.SetFinalizer(p, (*pulse).beat)
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
