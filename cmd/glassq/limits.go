package main

import (
	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/door"
	httpdoor "github.com/glassq/glassq/internal/door/http"
	"github.com/spf13/pflag"
)

// limitFlags bound what the clients of a server may have together; docs/limits.md has the table of
// all limits.
type limitFlags struct {
	connections, perAddress, requests int64
	queues, runs                      int
}

func (l *limitFlags) add(fs *pflag.FlagSet) {
	fs.Int64Var(&l.connections, "max-connections", 0,
		"most connections of all doors; those beyond wait (default three quarters of the file descriptors)")
	fs.Int64Var(&l.perAddress, "max-connections-per-address", 0,
		"most connections from one other machine; those beyond are cut (default half of --max-connections)")
	fs.Int64Var(&l.requests, "max-requests", httpdoor.DefaultRequests,
		"most HTTP requests under way, those that wait included; those beyond are refused")
	fs.IntVar(&l.queues, "max-queues", glassq.DefaultMaxQueues, "most queues; what would make another one is refused")
	fs.IntVar(&l.runs, "max-runs", glassq.DefaultMaxRuns, "most runs, the up to 10000 that are kept after their end included")
}

func (l *limitFlags) check() error {
	switch seats := door.AllSeats(); {
	case l.connections < 0 || l.connections > seats:
		return usagef("--max-connections %d: this process may have %d, three quarters of its file descriptors; "+
			"raise them (ulimit -n) or write less", l.connections, seats)
	case l.perAddress < 0:
		return usagef("--max-connections-per-address %d is not 1 or more", l.perAddress)
	case l.requests < 1:
		return usagef("--max-requests %d is not 1 or more", l.requests)
	case l.queues < 1:
		return usagef("--max-queues %d is not 1 or more", l.queues)
	case l.runs <= glassq.RunsKept:
		return usagef("--max-runs %d is not more than the %d that are kept after their end", l.runs, glassq.RunsKept)
	}
	return nil
}
