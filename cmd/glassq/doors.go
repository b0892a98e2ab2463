package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"

	"github.com/glassq/glassq/internal/cli/term"
	"github.com/glassq/glassq/internal/door"
	httpdoor "github.com/glassq/glassq/internal/door/http"
	"github.com/glassq/glassq/internal/door/manager"
	"github.com/glassq/glassq/internal/door/memcache"
	"github.com/glassq/glassq/internal/live"
	"github.com/glassq/glassq/internal/stores"
)

// An openDoor is one protocol on one address.
type openDoor struct {
	name string // of its flag
	said string // how it is announced
	ln   net.Listener
}

// doors are those that are open.
type doors []openDoor

// openDoors listens on all addresses that are not off.
func (f *serveFlags) openDoors() (all doors, err error) {
	secure := func(plain, tls string) string {
		if f.cert != nil {
			return tls
		}
		return plain
	}
	for _, d := range []struct{ name, addr, said string }{
		{"http", f.http, secure("http", "https")},
		{"memcached", f.memcached, secure("memcached", "memcached with TLS")},
		{"manager", f.manager, "Python manager"},
	} {
		if d.addr == closedDoor || d.name == "manager" && !f.locked() {
			continue
		}
		listen := listen
		if d.name == "manager" && isSocketPath(d.addr) {
			listen = listenUnix
		}
		ln, err := listen(d.addr)
		if err != nil {
			all.close()
			return nil, fmt.Errorf("%w with --%s, or --%s off", err, d.name, d.name)
		}
		all = append(all, openDoor{d.name, d.said, ln})
	}
	return all, nil
}

func (all doors) close() {
	for _, d := range all {
		d.ln.Close()
	}
}

// announce says where each door is, with the first one where the data is, and what became of the
// manager door.
func (all doors) announce(to *term.Console, f *serveFlags, store string) {
	for i, d := range all {
		said, keys := fmt.Sprintf("glassq serve: %s on %s", d.said, d.ln.Addr()), []any{"door", d.name, "addr", d.ln.Addr().String()}
		if i == 0 {
			said, keys = said+", "+store, append(keys, "store", store, "version", version())
		}
		to.Note(slog.LevelInfo, said, "door open", keys...)
		if host, _, err := net.SplitHostPort(f.manager); d.name == "manager" && err == nil && !isLoopback(host) {
			to.Note(slog.LevelWarn, "glassq serve: the Python manager door can be reached from other machines: the key is asked for, "+
				"but nothing is encrypted; a tunnel is safer", "door not encrypted", "door", d.name, "addr", d.ln.Addr().String())
		}
	}
	if !f.locked() && f.manager != closedDoor {
		to.Note(slog.LevelInfo, fmt.Sprintf("glassq serve: no key, so the Python manager door stays closed; --key-file FILE opens "+
			"it on %s, --manager off ends this line", f.manager), "door closed: no key", "door", "manager", "addr", f.manager)
	}
}

// run serves all doors until ctx is done or one of them fails, which ends the others.
func (all doors) run(ctx context.Context, f *serveFlags, settings *reloader, store *stores.Store,
	seen *live.Live) error {
	access, broker := door.NewAccess(f.keys...).WithTokens(f.tokens), store.Broker
	settings.begin(&running{f, access, store})
	ctx, cancel := context.WithCancel(ctx)
	var following sync.WaitGroup
	defer following.Wait()
	defer cancel()
	following.Go(func() { access.Run(ctx, f.logger) })
	frame := door.Frame{Access: access, Audit: f.audit, Version: version(), Memory: f.memory,
		Seats: door.NewSeats(f.limits.connections, f.limits.perAddress, f.logger), Log: f.logger}.Filled()
	var names func() []string
	if f.cert != nil {
		frame.TLS, names = f.cert.Config(), f.cert.Names
	}
	python := slices.IndexFunc(all, func(d openDoor) bool { return d.name == "manager" })
	var pass func(net.Conn) // by which the HTTP door hands over what comes through a tunnel
	var proxies *manager.Server
	if python >= 0 {
		proxies = manager.New(broker, manager.Options{Frame: frame, Strict: f.managerStrict,
			Queues: f.managerQueues, Delivery: f.delivery, Keys: f.keySources})
		pass = proxies.Admit
	}
	ended := make(chan error, len(all))
	for _, d := range all {
		var server interface {
			Run(context.Context, net.Listener) error
		}
		switch d.name {
		case "http":
			server = httpdoor.New(broker, httpdoor.Options{Frame: frame, Hosts: f.hosts, Names: names,
				Requests: f.limits.requests, Manager: pass, Live: seen, Reload: settings.reload,
				ReadOnlyDashboard: f.readOnlyPages})
		case "memcached":
			server = memcache.New(broker, frame)
		case "manager":
			server = proxies
		}
		go func() { ended <- server.Run(ctx, d.ln) }() // all are waited for below
	}
	var first error
	for range all {
		err := <-ended
		if err != nil && first == nil {
			first = err
		}
		cancel()
	}
	return first
}
