package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/audit"
	"github.com/glassq/glassq/internal/cert"
	"github.com/glassq/glassq/internal/disk"
	"github.com/glassq/glassq/internal/door"
	"github.com/glassq/glassq/internal/door/manager"
	"github.com/glassq/glassq/internal/jetstream"
	"github.com/glassq/glassq/internal/jsonline"
	"github.com/glassq/glassq/internal/live"
	"github.com/glassq/glassq/internal/rights"
	"github.com/glassq/glassq/internal/stores"
	"github.com/spf13/cobra"
)

const (
	closedDoor = "off"

	formatText, formatJSON = "text", "json" // of --log-format

	defaultMemcached = "127.0.0.1:22201"
	defaultManager   = "127.0.0.1:5000"
)

type serveFlags struct {
	data, store, sync        string
	own                      string // the folder of a gateway to a store of several machines, "" for none; read from data
	monitors                 []string
	acceptLazy               bool
	ofDisk                   func() string // the first flag that was given and is of a disk only; "" for none
	http, memcached, manager string
	managerStrict            bool
	managerQueues            map[string]string
	managerKeys              map[string]string
	keySources               map[string]jsonline.KeySource // managerKeys
	managerDelivery          []string
	delivery                 map[string]manager.Delivery // read from managerDelivery
	keyFile, tlsCert, tlsKey string
	insecure, hosts          []string
	readOnlyPages            bool
	maxBody                  byteSize
	logLevel, logFormat      string
	level                    slog.Level // read from logLevel
	limits                   limitFlags
	minFree                  string
	watermark                disk.Watermark // read from minFree
	memory                   door.Memory    // what there is
	tokenFile                string
	keys                     [][]byte         // read from keyFile
	tokens                   *rights.Register // read from tokenFile
	tlsMin, clientCA         string
	cert                     *cert.Server // read from tlsCert and tlsKey; nil for none
	warnings                 []string     // about what was read
	logger                   *slog.Logger
	pprof                    string
	audit                    *audit.Log
}

func (a *app) serveCmd() *cobra.Command {
	f := serveFlags{maxBody: glassq.DefaultMaxBody}
	a.serving = &f
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the queue server",
		Example: `  glassq serve --data d
  glassq serve --data d --http 0.0.0.0:5080 --key-file key --tls-cert cert.pem --tls-key key.pem`,
		Args: arguments(0, 0),
	}
	fs := cmd.Flags()
	fs.StringVar(&f.data, "data", "", "`folder` that keeps the queues; default $XDG_STATE_HOME/glassq. With --store nats:// what this gateway keeps for itself, or nothing")
	fs.StringVar(&f.store, "store", "", "`URL` of another place for the queues: nats://host:4222,host:4222,host:4222/NAME is one of several machines, mem: keeps everything in memory")
	fs.StringSliceVar(&f.monitors, "nats-monitor", nil, "`URL` of the monitoring port of each NATS server, such as http://host:8222: a store is made where they sync what they confirm, and puts are refused before one is full")
	fs.BoolVar(&f.acceptLazy, "accept-lazy-sync", false, "make a store on NATS servers that do not sync what they confirm: a power cut of all of them may lose everything")
	fs.StringVar(&f.sync, "sync", disk.SyncAlways, "when an answer may leave: always (synced), interval or never")
	fs.StringVar(&f.http, "http", "127.0.0.1:5080", "`address` of the HTTP door; off closes it, port 0 takes a free one")
	fs.StringVar(&f.memcached, "memcached", defaultMemcached,
		"`address` of the memcached door; off closes it, port 0 takes a free one")
	fs.StringVar(&f.manager, "manager", defaultManager,
		"`address` of the Python manager door, which needs --key-file or --token-file, or the path of a Unix socket; off closes it, port 0 takes a free one")
	fs.BoolVar(&f.managerStrict, "manager-strict", false,
		"refuse Pythons before 3.12, which answer with MD5, at the manager door")
	fs.StringToStringVar(&f.managerQueues, "manager-queue", nil,
		"`name=queue` that Python programs may ask for beside get_QUEUE_queue")
	fs.StringToStringVar(&f.managerKeys, "manager-key", nil,
		"`queue=key` for the keys of what Python programs put there: host of its URL, or the name of a member like {tenant}")
	fs.StringVar(&f.keyFile, "key-file", "", "`file` with the key that clients must have")
	fs.StringVar(&f.tokenFile, "token-file", "", "`file` of tokens, which glassq token makes: keys that may do some things with some queues")
	fs.StringVar(&f.tlsCert, "tls-cert", "", "PEM `file` with the certificate of the HTTP and memcached doors")
	fs.StringVar(&f.tlsKey, "tls-key", "", "PEM `file` with the certificate's key")
	fs.StringVar(&f.tlsMin, "tls-min", "1.3", "oldest `version` of TLS: 1.3, or 1.2 with modern suites")
	fs.StringVar(&f.clientCA, "client-ca", "", "PEM `file` of authorities: clients must have a certificate of one of them, with the name of a token")
	fs.StringSliceVar(&f.managerDelivery, "manager-delivery", nil,
		"`policy` for items of Python programs, or queue=policy: when one is done: on_next_call (the default), on_read, strict or on_task_done")
	fs.StringSliceVar(&f.insecure, "insecure", nil, "`door` that may be public without key and TLS: http, memcached, manager")
	fs.StringSliceVar(&f.hosts, "host", nil, "`name` that clients may call this server by, beside addresses, localhost and those of the certificate")
	fs.BoolVar(&f.readOnlyPages, "read-only-dashboard", false, "the dashboard shows everything and changes nothing")
	fs.Var(&f.maxBody, "max-body", "largest body of a task, up to 32MiB")
	f.limits.add(fs)
	fs.StringVar(&f.minFree, "min-free", "", "`size` or share of the disk that stays free: below it puts are refused; 0 is none (default 5% or 1GiB, the larger, but at most a quarter)")
	fs.StringVar(&f.logLevel, "log-level", "info", "least that is logged: debug, info, warn or error; glassq reload changes it")
	fs.StringVar(&f.logFormat, "log-format", formatText, "how lines are logged: text, or json, an object a line")
	fs.StringVar(&f.pprof, "pprof", "", "`address` of this machine for Go's profiler, such as 127.0.0.1:6060; without it there is none")
	cpu := profileFlag(cmd)
	f.ofDisk = func() string {
		for _, name := range []string{"sync", "min-free"} {
			if fs.Changed(name) {
				return name
			}
		}
		return ""
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		f.logger = a.console.Logger()
		settings := a.newReloader(cmd)
		if err := f.check(); err != nil {
			return err
		}
		stop, err := profile(*cpu)
		if err != nil {
			return err
		}
		defer stop()
		garbage := uint64(mostGarbage)
		if stores.Remote(f.data) {
			garbage = gatewayMost
		}
		defer tune(garbage)()
		a.console.SetLevel(f.level)
		a.hangup = settings.hangup
		return a.serve(&f, settings)
	}
	return cmd
}

// check refuses what cannot work before anything is touched, and reads the key and the certificate.
func (f *serveFlags) check() error {
	for name, queue := range f.managerQueues {
		if err := glassq.CheckName(queue); name == "" || err != nil {
			return usagef("--manager-queue %s=%s: write the registered name, = and the name of a queue", name, queue)
		}
	}
	f.keySources = map[string]jsonline.KeySource{}
	for queue, text := range f.managerKeys {
		source, err := jsonline.ParseKeySource(text)
		if err == nil {
			err = glassq.CheckName(queue)
		}
		if err != nil {
			return usagef("--manager-key %s=%s: %w", queue, text, err)
		}
		f.keySources[queue] = source
	}
	f.delivery = map[string]manager.Delivery{}
	for _, text := range f.managerDelivery {
		queue, policy, named := strings.Cut(text, "=")
		if !named {
			queue, policy = "", text
		}
		d, err := manager.ParseDelivery(policy)
		if err == nil && named {
			err = glassq.CheckName(queue)
		}
		if err != nil {
			return usagef("--manager-delivery %s: %w", text, err)
		}
		f.delivery[queue] = d
	}
	switch {
	case f.store != "" && stores.CheckURL(f.store) != nil:
		return usagef("--store %w with --data", stores.CheckURL(f.store))
	case stores.Remote(f.store):
		if name := f.ofDisk(); name != "" {
			return usagef("--%s is of a disk of this machine; a store on NATS is kept as its servers are configured: leave it out", name)
		}
		if err := f.ownFolder(); err != nil {
			return err
		}
	case f.store != "" && f.data != "" && f.data != f.store:
		return usagef("--store %s and --data %s are two places; leave one out", f.store, f.data)
	case f.store != "":
		f.data = f.store
	case f.data == "":
		dir, err := stateDir()
		if err != nil {
			return err
		}
		f.data = filepath.Join(dir, "data")
	}
	if err := checkSync(f.sync); err != nil {
		return err
	}
	var err error
	if f.level, err = parseLevel(f.logLevel); err != nil {
		return err
	}
	if f.logFormat != formatText && f.logFormat != formatJSON {
		return usagef("--log-format %s is not one of text, json", f.logFormat)
	}
	if err := checkProfiler(f.pprof); err != nil {
		return err
	}
	if f.minFree != "" {
		if f.watermark, err = parseWatermark(f.minFree); err != nil {
			return usagef("--min-free: %w", err)
		}
	}
	if f.http == closedDoor && f.memcached == closedDoor && (f.manager == closedDoor || f.keyFile == "" && f.tokenFile == "") {
		return usagef("--http %s --memcached %s leaves no door open", closedDoor, closedDoor)
	}
	for _, door := range f.insecure {
		if door != "http" && door != "memcached" && door != "manager" {
			return usagef("--insecure %s: there is no such door; write --insecure http, memcached or manager", door)
		}
	}
	if f.maxBody <= 0 || f.maxBody > glassq.HardMaxBody {
		return usagef("--max-body %s is not between 1 and 32MiB", f.maxBody.String())
	}
	if err := f.limits.check(); err != nil {
		return err
	}
	if f.keyFile != "" {
		key, warnings, err := readKey(f.keyFile)
		if err != nil {
			return err
		}
		f.keys, f.warnings = [][]byte{key}, append(f.warnings, warnings...)
	}
	if f.tokenFile != "" {
		var err error
		if f.tokens, err = rights.Open(f.tokenFile); err != nil {
			return usagef("%w", err)
		}
	}
	if err := f.certificate(); err != nil {
		return err
	}
	if err := f.checkPublic("http", f.http, "127.0.0.1:5080"); err != nil {
		return err
	}
	if err := f.checkPublic("memcached", f.memcached, defaultMemcached); err != nil {
		return err
	}
	return f.checkManager()
}

// ownFolder takes --data as what a gateway keeps for itself.
func (f *serveFlags) ownFolder() error {
	f.own, f.data = f.data, f.store
	if f.own == "" {
		return nil
	}
	if _, err := os.Stat(filepath.Join(f.own, "format")); err == nil {
		return usagef("--data %s holds queues of its own; name another folder, or leave out --store", f.own)
	}
	return nil
}

// locked tells whether clients need a key or a token.
func (f *serveFlags) locked() bool { return f.keys != nil || f.tokens != nil }

func (f *serveFlags) certificate() error {
	switch {
	case f.tlsMin != "1.2" && f.tlsMin != "1.3":
		return usagef("--tls-min %s is not 1.2 or 1.3", f.tlsMin)
	case f.tlsCert == "" && f.tlsKey == "" && f.clientCA == "":
		return nil
	case f.tlsCert == "" || f.tlsKey == "":
		return usagef("--tls-cert and --tls-key go together, and --client-ca with them")
	case f.clientCA != "" && f.tokenFile == "":
		return usagef("--client-ca needs --token-file: the name in a client's certificate is that of a token")
	}
	names := slices.DeleteFunc(slices.Clone(f.hosts), func(name string) bool { return name == "*" })
	for _, addr := range []string{f.http, f.memcached} {
		if host, _, err := net.SplitHostPort(addr); err == nil {
			if ip := net.ParseIP(host); ip != nil && !ip.IsUnspecified() && !ip.IsLoopback() {
				names = append(names, host)
			}
		}
	}
	var err error
	f.cert, err = cert.Open(cert.Options{Cert: f.tlsCert, Key: f.tlsKey, ClientCA: f.clientCA, TLS12: f.tlsMin == "1.2",
		Names: names, Log: f.logger})
	if err != nil {
		return usagef("%w", err)
	}
	for _, found := range f.cert.Check(time.Now()) {
		f.warnings = append(f.warnings, "certificate "+f.tlsCert+": "+found.Text)
	}
	return nil
}

// checkPublic refuses an address that others can reach without both key and TLS.
func (f *serveFlags) checkPublic(door, addr, like string) error {
	if addr == closedDoor {
		return nil
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return usagef("--%s %s is not an address like %s, or %s", door, addr, like, closedDoor)
	}
	if isLoopback(host) || slices.Contains(f.insecure, door) || f.locked() && f.cert != nil {
		return nil
	}
	return usagef("--%[1]s %[2]s can be reached from other machines, so it needs --key-file or --token-file, --tls-cert and --tls-key; "+
		"listen on 127.0.0.1, or write --insecure %[1]s to do without", door, addr)
}

// checkManager is checkPublic for the manager door, whose clients know no TLS.
func (f *serveFlags) checkManager() error {
	if f.manager == closedDoor || isSocketPath(f.manager) {
		return nil
	}
	host, _, err := net.SplitHostPort(f.manager)
	if err != nil {
		return usagef("--manager %s is not an address like %s, the path of a Unix socket with a /, or %s", f.manager,
			defaultManager, closedDoor)
	}
	if isLoopback(host) || slices.Contains(f.insecure, "manager") {
		return nil
	}
	return usagef("--manager %s can be reached from other machines, and nothing is encrypted there: "+
		"listen on 127.0.0.1 and use a tunnel, or write --insecure manager to do without", f.manager)
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func checkSync(mode string) error {
	switch mode {
	case disk.SyncAlways, disk.SyncInterval, disk.SyncNever:
		return nil
	}
	return usagef("--sync %s is not one of always, interval, never", mode)
}

func (a *app) serve(f *serveFlags, settings *reloader) (err error) {
	seen := live.New(live.Options{File: f.liveFile(), Logger: f.logger})
	f.audit = audit.New(audit.Options{Folder: f.folder(), Logger: f.logger, Heard: seen.Heard})
	ctx, stop := a.interruptible("glassq serve", "stopping; requests under way may end")
	defer stop()
	doors, err := f.openDoors()
	if err != nil {
		return err
	}
	defer doors.close()
	for _, text := range f.warnings {
		a.console.Note(slog.LevelWarn, "glassq serve: warning: "+text, "what was read is doubtful", "err", text)
	}
	f.memory = shareMemory(a.console, int(f.maxBody))
	if f.own != "" {
		if err := os.MkdirAll(f.own, 0o700); err != nil {
			return usagef("--data: %w", err)
		}
	}
	store, err := openStore(ctx, f.data, stores.Options{Sync: f.sync, MinFree: f.watermark, MaxBody: int(f.maxBody),
		CacheBytes: f.memory.Cache, MaxQueues: f.limits.queues, MaxRuns: f.limits.runs, Logger: f.logger,
		Between: seen.Over, Synced: seen.Synced, PutItself: seen.PutItself, Folder: f.own, Settings: f.shared,
		NATS: jetstream.Options{Monitors: f.monitors, AcceptLazySync: f.acceptLazy}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	defer background(seen.Keep)() // ends before the store is closed
	stopProfiler, err := f.profiler()
	if err != nil {
		return err
	}
	defer stopProfiler()
	defer background(f.audit.Run)() // ends behind the doors
	if f.tokens != nil {
		f.tokens.Changed = f.tokenChanged
	}
	doors.announce(a.console, f, store.Describe())

	ctx, fail := context.WithCancelCause(ctx)
	defer ready(ctx, store.Broker).wait()
	defer fail(nil)
	over := a.watch(store, "glassq serve", "", fail)
	err = doors.run(ctx, f, settings, store, seen)
	over()
	if err == nil && errors.Is(context.Cause(ctx), glassq.ErrStorage) {
		return store.Failure("")
	}
	return err
}

// folder is where the data is, or what a gateway keeps for itself; "" for a store without a folder.
func (f *serveFlags) folder() string {
	switch {
	case f.data == stores.Memory:
		return ""
	case stores.Remote(f.data):
		return f.own
	}
	return f.data
}

// shared are the settings that should be the same at all gateways of a store. A key may be a short one, so
// no digest of it is told.
func (f *serveFlags) shared() map[string]string {
	set := map[string]string{"key-file": "none", "token-file": "none", "manager-key": ""}
	if f.keys != nil {
		set["key-file"] = "set"
	}
	if f.tokens != nil {
		set["token-file"] = f.tokens.Digest()
	}
	for _, queue := range sortedKeys(f.managerKeys) {
		set["manager-key"] += queue + "=" + f.managerKeys[queue] + " "
	}
	return set
}

// liveFile is where the server keeps its charts; "" for a store without a folder.
func (f *serveFlags) liveFile() string {
	if f.folder() == "" {
		return ""
	}
	return filepath.Join(f.folder(), "charts")
}

// tokenChanged audits a change of the file of tokens, whoever made it.
func (f *serveFlags) tokenChanged(action, name, id string) {
	f.audit.Note(context.Background(), audit.Entry{Action: action, Who: system, What: name + " " + id})
}

// system is who did something by a signal or a file, on the server's own machine.
const system = "system"

// background runs work until the function that it returns is called, which waits for its end.
func background(work func(context.Context)) (end func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { work(ctx) })
	return func() {
		cancel()
		wg.Wait()
	}
}

// A predecessor that was killed holds its address and its folder for a moment longer: a server that
// is started again at once is not to fail for that.
const (
	releaseTime  = 2 * time.Second
	releasePause = 20 * time.Millisecond
)

func listen(addr string) (net.Listener, error) {
	for began := time.Now(); ; time.Sleep(releasePause) {
		ln, err := net.Listen("tcp", addr)
		switch {
		case err == nil:
			return ln, nil
		case isBadAddress(err):
			return nil, usagef("%w; take another address", err)
		case !errors.Is(err, syscall.EADDRINUSE):
			return nil, &exitError{exitUnexpected, fmt.Errorf("%w; take another address", err)}
		case time.Since(began) > releaseTime:
			return nil, &exitError{exitUnexpected, fmt.Errorf("%w; stop the program that has it, or take another address", err)}
		}
	}
}

// isBadAddress tells whether an address can be that of no machine.
func isBadAddress(err error) bool {
	_, ok := errors.AsType[*net.AddrError](err)
	return ok
}

// removeAll removes a folder and says so when it cannot.
func (a *app) removeAll(dir string) {
	if err := os.RemoveAll(dir); err != nil {
		a.console.Say("glassq: remove %s: %v", dir, err)
	}
}
