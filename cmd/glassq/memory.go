package main

import (
	"math"
	"runtime/debug"

	"github.com/KimMachineGun/automemlimit/memlimit"

	"github.com/glassq/glassq/internal/cli/term"
	"github.com/glassq/glassq/internal/door"
)

const (
	softMemory = 2 << 30 // bytes where the collector works harder, at most
	ofCgroup   = 90      // per cent of a cgroup's limit where it does; the rest is for what is not Go's
	fromGo     = "GOMEMLIMIT"
	fromCgroup = "its cgroup"
)

// memoryLimit is how many bytes this process may have, and who says so: GOMEMLIMIT or its cgroup,
// whichever has less. 0 is no limit.
func memoryLimit() (limit int64, from string) {
	limit = math.MaxInt64
	if n, err := memlimit.FromCgroup(); err == nil && n < math.MaxInt64 { // an error: there is no cgroup, or no limit
		limit, from = int64(n), fromCgroup
	}
	if n := debug.SetMemoryLimit(-1); n < limit/100*ofCgroup {
		limit, from = n, fromGo
	}
	if limit == math.MaxInt64 {
		return 0, ""
	}
	return limit, from
}

// limitMemory has the collector keep below the limit of this process, and returns that.
func limitMemory() (limit int64, from string) {
	limit, from = memoryLimit()
	switch from {
	case "":
		debug.SetMemoryLimit(softMemory)
	case fromCgroup:
		debug.SetMemoryLimit(min(softMemory, limit/100*ofCgroup))
	}
	return limit, from
}

// shareMemory shares out what a server may have, and says so where that is less than it needs.
func shareMemory(to *term.Console, maxBody int) door.Memory {
	limit, from := limitMemory()
	if limit > 0 && limit < door.LeastMemory {
		size, least := byteSize(limit>>20<<20), byteSize(door.LeastMemory)
		to.Say("glassq serve: %s lets this process have %s of memory, and it needs %s: several large bodies at once may end it; "+
			"give it more, or lower --max-body", from, size.String(), least.String())
	}
	return door.Share(limit, maxBody)
}
