package jetstream

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/glassq/glassq/internal/plain"
)

// bestVersion is the one from which on a commit costs one sync of each server.
const bestVersion = "2.15"

// A Finding is what Examine has to say of one matter.
type Finding struct {
	Level string // "ok", "warn" or "FAIL"
	What  string // the matter, in a word
	Text  string
}

// Examine looks at the servers of a store and at what the store has there, and changes nothing. It
// waits for no server. monitors are the URLs of all monitoring ports; without them nobody knows how
// the servers sync.
func Examine(ctx context.Context, at Location, opt Options) (found []Finding) {
	say := func(level, what, format string, args ...any) {
		found = append(found, Finding{level, what, fmt.Sprintf(format, args...)})
	}
	opt = opt.withDefaults()
	g, err := connect(at, opt)
	if err != nil {
		say("FAIL", "nats", "%v", err)
		return found
	}
	defer g.Close()
	if err := g.orDenied(g.checkServer(ctx)); err != nil {
		say("FAIL", "nats", "%v", err)
		return found
	}
	say("ok", "nats", "server %s answers, version %s, messages of up to %d bytes", g.nc.ConnectedServerName(),
		g.nc.ConnectedServerVersion(), g.nc.MaxPayload())
	if !atLeast(g.nc.ConnectedServerVersion(), bestVersion) {
		say("warn", "nats", "from version %s on a commit costs one sync of each server, and the tests of Glassq run on it", bestVersion)
	}
	found = append(found, g.examineSync(ctx)...)
	return append(found, g.examineStore(ctx)...)
}

// examineSync says whether what is confirmed outlives a power cut, whether servers are full, and compares clocks.
func (g *Ground) examineSync(ctx context.Context) []Finding {
	const cure = "a power cut of all of them may lose everything that was answered OK: set sync_interval: always in the jetstream block of each"
	if len(g.opt.Monitors) == 0 {
		return []Finding{{"warn", "sync", "it is not known whether the servers sync what they confirm; if they do not, " + cure +
			". --nats-monitor http://host:8222,… with the monitoring ports of all of them looks"}}
	}
	s, err := monitors(ctx, g.opt.Monitors)
	switch {
	case err != nil:
		return []Finding{{"FAIL", "sync", err.Error()}}
	}
	list := []Finding{{"ok", "sync", "what they confirm is synced by " + plain.Plural(uint64(s.seen), "server", "servers")}}
	if len(s.lazy) > 0 {
		list = []Finding{{"FAIL", "sync", strings.Join(s.lazy, ", ") + "; " + cure}}
	}
	if len(s.full) > 0 {
		list = append(list, Finding{"FAIL", "room", strings.Join(s.full, ", ") +
			": from 90 % on puts are refused, and a server that is over it takes nothing any more, acks included: raise it and have the server read its configuration, nats-server --signal reload"})
	}
	if s.seen < s.size {
		list = append(list, Finding{"warn", "sync", fmt.Sprintf("the cluster has %d servers, and --nats-monitor names %d of them", s.size, s.seen)})
	}
	if s.apart > time.Second {
		list = append(list, Finding{"warn", "clock", fmt.Sprintf("the clocks of the servers and of this machine are up to %s apart; delays go by the gateway's clock after a cold start: run a time service", s.apart.Round(time.Millisecond))})
	}
	return list
}

// examineStore looks at the streams.
func (g *Ground) examineStore(ctx context.Context) (found []Finding) {
	for _, want := range g.at.wanted() {
		is, err := g.lookUp(ctx, want.Name)
		switch {
		case err != nil:
			found = append(found, Finding{"FAIL", "store", fmt.Sprintf("stream %s: %v", want.Name, g.orDenied(err))})
			continue
		case is == nil:
			found = append(found, Finding{"warn", "store", "there is no stream " + want.Name + "; serve makes it with the store, when there is none"})
			continue
		}
		level, text := "ok", fmt.Sprintf("stream %s: %d messages, %d KiB", want.Name, is.State.Msgs, is.State.Bytes>>10)
		if c := is.Cluster; c != nil {
			behind := 0
			for _, peer := range c.Replicas {
				if !peer.Current || peer.Offline {
					behind++
				}
			}
			text += fmt.Sprintf(", leader %s, %s", c.Leader, plain.Plural(uint64(is.Config.Replicas), "copy", "copies"))
			if behind > 0 {
				level, text = "warn", text+fmt.Sprintf(", %d of them behind or away", behind)
			}
		}
		found = append(found, Finding{level, "store", text})
		if err := ours(want.Name, g.at, is); err != nil {
			found = append(found, Finding{"FAIL", "store", err.Error()})
			continue
		}
		for _, d := range compare(is.Config, want) {
			if level = "warn"; d.harms {
				level = "FAIL"
			}
			found = append(found, Finding{level, "store", d.String()})
		}
		if want.Name != g.at.logStream() {
			continue
		}
		if is.Config.Replicas < 3 {
			found = append(found, Finding{"warn", "store", fmt.Sprintf("the log has %s: with fewer than three, one broken disk or one server that is away ends or stops the store; nats stream edit %s --replicas=3", plain.Plural(uint64(is.Config.Replicas), "copy", "copies"), want.Name)})
		}
		if most := is.Config.MaxBytes; most <= 0 {
			found = append(found, Finding{"warn", "store", "the log has no max_bytes: a server whose disk it fills switches JetStream off; nats stream edit " + want.Name + " --max-bytes=20GB, below what the disks have"})
		} else if int64(is.State.Bytes) > most/100*90 {
			found = append(found, Finding{"FAIL", "store", fmt.Sprintf("the log holds %d of its %d bytes: puts are refused until tasks are done or max_bytes is raised", is.State.Bytes, most)})
		}
	}
	return found
}
