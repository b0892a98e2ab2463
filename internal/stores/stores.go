// Package stores is the one place that makes a whole store: the engine that a folder or a URL
// names, and the rules before it with the schemas of its queues compiled. It tells how the store is
// described, fails and is watched.
//
// It knows which engines there are. It does not know doors, flags and exit codes.
package stores

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/broker"
	"github.com/glassq/glassq/internal/cluster"
	"github.com/glassq/glassq/internal/disk"
	"github.com/glassq/glassq/internal/jetstream"
	"github.com/glassq/glassq/internal/schema"
	"github.com/glassq/glassq/internal/wal"
)

// Memory is the URL of a store that keeps everything in memory and nothing on a disk.
const Memory = "mem:"

// Options tunes Open. The zero value is ready for production.
type Options struct {
	Sync     string         // a mode of package disk; "" means disk.SyncAlways
	Interval time.Duration  // longest time unsynced with disk.SyncInterval; 0 means 100 ms
	MinFree  disk.Watermark // of the disk; below it puts are refused
	MaxBody  int            // most bytes of one body; 0 means glassq.DefaultMaxBody

	CacheBytes int64         // of the log kept in memory for hand-outs, a gateway keeps half; 0 means 64 MiB
	MaxQueues  int           // 0 means glassq.DefaultMaxQueues
	MaxRuns    int           // 0 means glassq.DefaultMaxRuns
	Logger     *slog.Logger  // nil discards
	Patience   time.Duration // how long to wait for a folder that another process has; 0 does not wait

	// NATS says under which conditions a store on NATS is made. Its Logger is not used.
	NATS jetstream.Options
	// Folder is where a gateway to a store of several machines keeps what it has heard of the log, so
	// that it knows when that went back; "" keeps nothing.
	Folder string

	// Settings are what a gateway tells the others of how it is set, see cluster.Options.
	Settings func() map[string]string

	// Between, if not nil, returns what stands between the rules and the engine, and sees every
	// call.
	Between func(glassq.Store) glassq.Store
	// Synced, if not nil, is told how long each sync of the log took. It must not block.
	Synced func(time.Duration)
	// PutItself, if not nil, is told of each task that the engine puts without a call, for a schedule
	// or as the hook of a run, "" for none. It must neither block nor call the store.
	PutItself func(queue, run string)
}

// A Store is an open store, with the verbs of its broker. It is safe for concurrent use.
type Store struct {
	*broker.Broker
	engine engine
	where  string
	sync   string
	ground *jetstream.Ground // of a store on NATS, else nil
}

// An engine is one of this machine or of several.
type engine interface {
	glassq.Store
	Close() error
	Failed() <-chan struct{}
}

var _ broker.Store = (*disk.Engine)(nil) // nothing is lacking

// CheckURL refuses a URL that names no engine of this program, with code bad_request. Folders have
// no URL.
func CheckURL(url string) error {
	switch {
	case url == Memory:
		return nil
	case Remote(url):
		_, err := jetstream.Parse(url)
		return err
	}
	return glassq.Errorf(glassq.CodeBadRequest, "%s is not in this build; there is %s, %shost:4222,host:4222,host:4222/NAME, or a folder",
		url, Memory, jetstream.Scheme)
}

// Remote tells whether where is the URL of a store of several machines.
func Remote(where string) bool { return strings.HasPrefix(where, jetstream.Scheme) }

// Show is where without what is secret in a URL.
func Show(where string) string {
	if at, err := jetstream.Parse(where); err == nil {
		return at.String()
	}
	return where
}

// Open opens or creates the store in the folder where, which it locks against other processes, or
// the one that a URL names. It waits for the replay of the log, and for machines that are away. The
// caller must Close the store.
//
// Errors: code damaged with the file, the offset and what to do; storage_failed for what the disk
// refuses; unavailable when another process has the folder; bad_request for a bad option, a URL
// that names no engine of this program, or a stored schema that does not compile; those of
// jetstream.Open; or that of ctx.
func Open(ctx context.Context, where string, opt Options) (*Store, error) {
	if strings.Contains(where, "://") {
		if err := CheckURL(where); err != nil {
			return nil, err
		}
	}
	s := &Store{where: where, sync: cmp.Or(opt.Sync, disk.SyncAlways)}
	var err error
	if Remote(where) {
		err = s.openCluster(ctx, opt)
	} else {
		s.engine, err = openDisk(ctx, where, opt)
	}
	if err != nil {
		return nil, err
	}
	var engine glassq.Store = s.engine
	if opt.Between != nil {
		engine = opt.Between(engine)
	}
	if s.Broker, err = rules(ctx, engine, opt); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// rules puts the rules before an engine. One of several machines may have no owner yet, and a take-over takes
// as long as it takes.
func rules(ctx context.Context, engine glassq.Store, opt Options) (*broker.Broker, error) {
	for first := true; ; first = false {
		b, err := broker.NewWithSchemas(ctx, engine, glassq.Limits{MaxBody: opt.MaxBody}, schema.Compile)
		if glassq.CodeOf(err) != glassq.CodeUnavailable {
			return b, err
		}
		if first && opt.Logger != nil {
			opt.Logger.Warn("the store does not answer yet, it is asked again", "err", err)
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// openCluster opens a gateway.
func (s *Store) openCluster(ctx context.Context, opt Options) error {
	ground, err := join(ctx, s.where, opt)
	if err != nil {
		return err
	}
	set := cluster.Options{CacheBytes: opt.CacheBytes / 2, MaxQueues: opt.MaxQueues, MaxRuns: opt.MaxRuns,
		Logger: opt.Logger, PutItself: opt.PutItself, Settings: opt.Settings}
	set.Host, _ = os.Hostname() // "" where it is not known
	if opt.Folder != "" {
		set.HintFile = filepath.Join(opt.Folder, "seen")
	}
	gateway, err := cluster.Open(ctx, ground.Ground(), set)
	if err != nil {
		ground.Close()
		return err
	}
	s.engine, s.ground = gateway, ground
	return nil
}

// join connects to the machines of a URL.
func join(ctx context.Context, url string, opt Options) (*jetstream.Ground, error) {
	at, err := jetstream.Parse(url)
	if err != nil {
		return nil, err
	}
	opt.NATS.Logger = opt.Logger
	return jetstream.Open(ctx, at, opt.NATS)
}

// Restore makes the store of a URL of several machines from an archive, where there is none, and
// returns how many tasks it has taken over.
//
// Errors: those of cluster.Restore and jetstream.Open.
func Restore(ctx context.Context, url string, from io.Reader, opt Options) (int64, error) {
	ground, err := join(ctx, url, opt)
	if err != nil {
		return 0, err
	}
	defer ground.Close()
	return cluster.Restore(ctx, ground.Ground(), from, cluster.Options{Logger: opt.Logger})
}

// lookPause is between two tries for a folder that another process has.
const lookPause = 20 * time.Millisecond

// openDisk opens an engine on this machine. A predecessor that was killed holds its folder for a
// moment longer.
func openDisk(ctx context.Context, where string, opt Options) (*disk.Engine, error) {
	began := time.Now()
	for {
		e, err := disk.Open(where, disk.Options{Sync: opt.Sync, Interval: opt.Interval, MinFree: opt.MinFree,
			CacheBytes: opt.CacheBytes, MaxQueues: opt.MaxQueues, MaxRuns: opt.MaxRuns, Logger: opt.Logger,
			Synced: opt.Synced, PutItself: opt.PutItself})
		if glassq.CodeOf(err) != glassq.CodeUnavailable || time.Since(began) >= opt.Patience {
			return e, err
		}
		select {
		case <-time.After(lookPause):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// SetMinFree changes how much of the disk stays free, a second later at most. A store of several
// machines has no disk.
func (s *Store) SetMinFree(w disk.Watermark) {
	if e, ok := s.engine.(*disk.Engine); ok {
		e.SetMinFree(w)
	}
}

// Close closes the engine and makes everything durable. The owner of a store of several machines
// hands it over. A second Close does nothing.
func (s *Store) Close() error {
	err := s.engine.Close()
	if s.ground != nil {
		s.ground.Close()
	}
	return err
}

// Failed is closed when a write or sync failed, or several machines have lost what they confirmed:
// the store refuses everything from then on.
func (s *Store) Failed() <-chan struct{} { return s.engine.Failed() }

// Failure is what to say when the store has failed, with code storage_failed or damaged. next says
// what to do after a disk is mended; "" means to start again.
func (s *Store) Failure(next string) error {
	if g, ok := s.engine.(*cluster.Store); ok {
		return glassq.Errorf(glassq.CodeDamaged, "%s: %w; no gateway goes on from there, docs/cluster.md says what to do",
			Show(s.where), g.Failure())
	}
	if next == "" {
		next = "start again"
	}
	return glassq.Errorf(glassq.CodeStorage, "a write to %s failed, see above; what was answered OK is there, unless somebody removed the folder: mend the disk and %s", s.where, next)
}

// Watch calls failed, in a goroutine of its own, when the store has failed. The caller must call
// over, which waits for a call under way.
func (s *Store) Watch(failed func()) (over func()) {
	stop, done := make(chan struct{}), make(chan struct{})
	go func() { // waited for by over
		defer close(done)
		select {
		case <-s.Failed():
			failed()
		case <-stop:
		}
	}()
	return func() {
		close(stop)
		<-done
	}
}

// Describe says where the data goes and what a sync of it costs, which it tries: it waits for one.
func (s *Store) Describe() string {
	if Remote(s.where) {
		return "store " + Show(s.where)
	}
	if s.where == Memory {
		return "data in memory"
	}
	text := fmt.Sprintf("data %s, sync %s", s.where, s.sync)
	if s.sync != disk.SyncAlways {
		return text
	}
	if took, err := wal.BareSync(s.where); err == nil { // for show only
		text += fmt.Sprintf(" (a sync takes %s)", took.Round(time.Microsecond))
	}
	return text
}
