package cluster

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	mrand "math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/engine"
)

const (
	ownerLost = 3                // beats without a sign of life, before another gateway takes over
	patience  = 20               // beats without a word of the log, or of an owner, before calls are told so
	sayEvery  = 10 * time.Second // between two lines about the same trouble
	closeFor  = 10 * time.Second // that Close waits for the log
	formatNow = 1                // of the hint "store" and what it stands for
)

// Options tunes Open. The zero value is ready for production.
type Options struct {
	CacheBytes      int64         // of the log kept in memory for hand-outs by the owner; 0 means 32 MiB
	CheckpointEvery int64         // bytes that the log grows, at least, between two checkpoints; 0 means 64 MiB
	ExtentBytes     int64         // the log is purged by as much at a time; 0 means 16 MiB
	MaxQueues       int           // 0 means glassq.DefaultMaxQueues
	MaxRuns         int           // 0 means glassq.DefaultMaxRuns
	Beat            time.Duration // between two signs of life of an owner; 0 means 1 s
	HintFile        string        // where the newest point of the log that was heard of is kept; "" keeps none
	Logger          *slog.Logger  // nil discards

	Wall func() time.Time // the wall clock; nil means time.Now

	Host     string                   // of this gateway, for people
	Settings func() map[string]string // see glassq.GatewaySettings; called now and then, from any goroutine; nil has none

	PutItself func(queue, run string) // see engine.Options; told where this gateway is the owner
}

// A Store is one gateway to a store of several machines. At most one gateway, the owner, runs the
// engine; the others hand their calls to it, and one of them takes over when it is gone. Calls wait
// while there is no owner. It has the verbs of glassq.Store and of every part of an engine but
// glassq.Copier. Safe for concurrent use.
type Store struct {
	ground Ground
	opt    Options
	id     storeID
	name   string // of this gateway, another one each time
	calls  *calls
	served *served

	mu      sync.Mutex      // guards everything down to the next gap
	reign   *reign          // while this gateway is the owner and serves
	owner   string          // who the owner is, as far as heard; "" is nobody
	epoch   uint64          // of it
	changed chan struct{}   // closed when any of the three above changes
	loneAt  time.Time       // since when the owner is nobody; zero: it is not
	shownAt time.Time       // when the last sign began that this gateway left in the hint as the owner
	high    witness         // the newest point heard of
	heardAt time.Time       // when somebody last showed signs of life; zero: never
	logNow  int64           // the time of the log, ms, as an owner told it
	logAt   time.Time       // when that was
	stats   glassq.Stats    // the owner's
	toldAt  time.Time       // when they were told; zero: never
	left    bool            // the owner said that it goes
	err     error           // why every call is refused: closed, or the log is lost
	closed  bool            // Close was called
	peers   map[string]peer // gateways by name, as they were heard of last
	said    time.Time       // when trouble was last logged
	full    error           // why there was no room for the last sign of this gateway, or for its claim

	revision uint64 // of the hint "shard.0", as this gateway left it or found it
	written  uint64 // the number in the hint file; for remember

	failed chan struct{} // closed when the log is lost
	atOnce atomic.Bool   // a reign ends as it is
	kick   chan struct{} // the owner has changed, or goes; see wake
	cancel context.CancelFunc
	wg     sync.WaitGroup
	stops  []func()
}

// identity is the hint "store": it is written once, when the store is made.
type identity struct {
	Store  string    `json:"store"`
	Format int       `json:"format"`
	Shards int       `json:"shards"`
	Made   time.Time `json:"made"`
}

// A sign is what an owner tells, and what it leaves in the hint "shard.0".
type sign struct {
	Store  string `json:"store"`
	Kind   string `json:"kind"` // owns, takes or leaves
	From   string `json:"from"`
	Epoch  uint64 `json:"epoch"`
	Number uint64 `json:"number"` // the newest message confirmed
	Chain  uint64 `json:"chain"`
	Now    int64  `json:"now"` // the time of the log, ms; 0 where it does not run

	Stats *glassq.Stats `json:"stats,omitempty"` // the owner's
}

const (
	owns   = "owns"
	takes  = "takes"
	leaves = "leaves"

	storeKey = "store"
	shardKey = "shard.0"
)

// Open joins the store on a ground, or makes one where there is nothing. It waits until hints and
// log answer. The caller must Close the Store, and then the ground.
//
// Errors: code damaged when the store was made and its log is not there, or what is there was made
// by something else; or that of ctx.
func Open(ctx context.Context, g Ground, opt Options) (*Store, error) {
	s := &Store{ground: g, opt: opt.withDefaults(), changed: make(chan struct{}), failed: make(chan struct{}),
		kick: make(chan struct{}, 1), loneAt: time.Now(), peers: map[string]peer{}}
	s.name = fmt.Sprintf("%016x", chance())
	s.own() // before others are heard
	known, err := s.recall()
	if err != nil {
		return nil, err
	}
	for {
		err := s.identify(ctx, known)
		if err == nil {
			break
		}
		if fatal(err) || ctx.Err() != nil {
			return nil, err
		}
		s.say("the store does not answer", err)
		select {
		case <-time.After(tryFor):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	s.calls, s.served = newCalls(s), newServed(s)
	for _, serve := range []func() (func(), error){
		func() (func(), error) { return g.Bus.Serve(s.name, s.request) },
		func() (func(), error) { return g.Bus.Hear(s.hear) },
	} {
		stop, err := serve()
		if err != nil {
			return nil, err
		}
		s.stops = append(s.stops, stop)
	}
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s.cancel = cancel
	s.wg.Go(func() { s.run(run) })
	s.wg.Go(func() { s.present(run) })
	return s, nil
}

func (opt Options) withDefaults() Options {
	if opt.Logger == nil {
		opt.Logger = slog.New(slog.DiscardHandler)
	}
	if opt.Wall == nil {
		opt.Wall = time.Now
	}
	opt.Beat = cmp.Or(opt.Beat, time.Second)
	opt.CacheBytes = cmp.Or(opt.CacheBytes, 32<<20)
	opt.ExtentBytes = cmp.Or(opt.ExtentBytes, 16<<20)
	return opt
}

func newID() (id storeID) {
	rand.Read(id[:]) // never fails
	return id
}

// identify learns which store this is, or makes one where there is neither a log nor a hint, and
// nothing is known of one.
func (s *Store) identify(ctx context.Context, known remembered) error {
	try, cancel := context.WithTimeout(ctx, 4*tryFor)
	defer cancel()
	// In this order: another gateway that makes the store says so before it writes to the log.
	info, infoErr := s.ground.Log.Info(try)
	text, revision, err := s.ground.Hints.Get(try, storeKey)
	if err != nil {
		return err
	}
	switch err := infoErr; {
	case errors.Is(err, ErrGone):
		return lost("there is no log where the store should be: %w", err)
	case err != nil:
		return err
	case text == nil && info.Last > 0:
		return strayLog(info.Last)
	case known.Store != "":
		if err := s.same(text, info.Last, known.Store); err != nil {
			return err
		}
	case text == nil:
		s.id = newID()
		return s.found(try, revision) // after an error another one has, perhaps
	}
	var is identity
	id, hexErr := []byte(nil), json.Unmarshal(text, &is)
	if hexErr == nil {
		id, hexErr = hex.DecodeString(is.Store)
	}
	switch {
	case hexErr != nil || len(id) != len(s.id):
		return lost("the hint %q does not say which store this is: %.200q", storeKey, text)
	case is.Format > formatNow || is.Shards != 1:
		return lost("the store has format %d and %d shards, this program knows format %d and 1: use a newer one", is.Format,
			is.Shards, formatNow)
	}
	copy(s.id[:], id)
	return nil
}

// say logs trouble, now and then.
func (s *Store) say(what string, err error) {
	s.mu.Lock()
	often := time.Since(s.said) < sayEvery
	if !often {
		s.said = time.Now()
	}
	s.mu.Unlock()
	if !often {
		s.opt.Logger.Warn(what+", it is tried again", "err", err)
	}
}

// request takes what other gateways send.
func (s *Store) request(msg []byte) []byte {
	p, ok := openPiece(msg)
	switch {
	case !ok:
		return nil
	case p.kind == pieceAnswer:
		return s.calls.answer(p)
	}
	return s.served.take(p)
}

// hear takes what owners tell, and the notices of all gateways.
func (s *Store) hear(msg []byte) {
	var x sign
	if json.Unmarshal(msg, &x) == nil && s.ours(x) && x.From != s.name {
		s.heed(x, true)
		return
	}
	var n notice
	if json.Unmarshal(msg, &n) == nil && n.Of == hex.EncodeToString(s.id[:]) && n.Gateway != s.name {
		s.note(n)
	}
}

// ours tells whether a sign is of this store.
func (s *Store) ours(x sign) bool { return x.Store == hex.EncodeToString(s.id[:]) }

// heed learns from a sign of another gateway. now says that it is not older than a moment.
func (s *Store) heed(x sign, now bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if x.Number > s.high.number {
		s.high = witness{point{x.Number, x.Chain}, "this gateway"}
	}
	if x.Epoch < s.epoch {
		return
	}
	if x.Stats != nil {
		s.stats = *x.Stats
	}
	if now {
		s.heardAt = time.Now()
		if x.Stats != nil { // not one who only tries to take over
			s.toldAt = s.heardAt
		}
		if x.Now > 0 && x.Now >= s.logTime() { // else it was told before, and heard late
			s.logNow, s.logAt = x.Now, s.heardAt
		}
	}
	if r := s.reign; r != nil && x.Epoch > r.epoch && s.err == nil {
		s.wg.Go(func() { s.doubt(r) })
	}
	owner := x.From
	if s.left = x.Kind == leaves; x.Kind != owns {
		owner = ""
	}
	if s.left {
		s.wake() // a call that came back may have said before that there is no owner
	}
	if x.Epoch > s.epoch || owner != s.owner && s.owner != s.name { // an attempt ends no reign
		s.epoch, s.owner = x.Epoch, owner
		s.change()
	}
}

// doubt has a reign find out whether it is over, as another gateway says. One that cannot reach the
// log leaves what it has with it as it is.
func (s *Store) doubt(r *reign) {
	if r.stuck(tryFor) {
		r.abandon()
	}
	defer time.AfterFunc(late+tryFor, r.abandon).Stop()
	r.engine.Prove()
}

// change wakes those who wait for another owner; mu is held.
func (s *Store) change() {
	if s.owner != "" {
		s.loneAt, s.full = time.Time{}, nil
	} else if s.loneAt.IsZero() {
		s.loneAt = time.Now()
	}
	close(s.changed)
	s.changed = make(chan struct{})
	s.wake()
}

// wake has run look at once.
func (s *Store) wake() {
	select {
	case s.kick <- struct{}{}:
	default:
	}
}

// run takes over whenever there is no owner, and serves while it is the owner.
func (s *Store) run(ctx context.Context) {
	var revision uint64  // of the hint, when it was last looked at
	silent := time.Now() // since when nobody has shown signs of life
	reached := true      // the log, when it was last tried
	for first := true; ctx.Err() == nil; {
		// What gateways do not hear of each other stands in the hint too.
		text, at, err := s.hint(ctx)
		var x sign
		mine := json.Unmarshal(text, &x) == nil && s.ours(x)
		if err == nil && !mine {
			err = s.stays(ctx)
		}
		switch {
		case fatal(err), errors.Is(err, ErrGone):
			s.fail(s.taker().gone(err))
			return
		case err != nil:
			s.say("the hints do not answer", err)
		case at != revision || first:
			if silent = time.Now(); mine && x.From != s.name {
				s.heed(x, !first)
			}
			revision, first = at, false
		}
		if err := s.remember(); err != nil {
			s.say("the hint file is not written", err)
		}
		s.mu.Lock()
		if s.heardAt.After(silent) {
			silent = s.heardAt
		}
		free := s.left || revision == 0
		s.mu.Unlock()
		patience := ownerLost*s.opt.Beat + time.Duration(mrand.Int64N(int64(s.opt.Beat)))
		if err == nil && (free || time.Since(silent) > patience) && s.reaches(ctx, &reached) {
			s.mu.Lock()
			s.revision = revision
			s.mu.Unlock()
			if err := s.sign(ctx, takes); err == nil {
				s.rule(ctx)
				silent, first = time.Now(), true
				continue
			}
		}
		select {
		case <-time.After(s.opt.Beat / 2):
		case <-s.kick:
		case <-ctx.Done():
		}
	}
}

// reaches tells whether the log answers. One that has just come back is left to its owner for some
// beats more.
func (s *Store) reaches(ctx context.Context, before *bool) bool {
	try, cancel := context.WithTimeout(ctx, tryFor)
	defer cancel()
	_, err := s.ground.Log.Info(try)
	if err != nil && !errors.Is(err, ErrGone) {
		s.say("the log does not answer", err)
		*before = false
		return false
	}
	if !*before {
		*before = true
		select {
		case <-time.After(2 * s.opt.Beat):
		case <-ctx.Done():
		}
		return false
	}
	return true
}

// hint reads the hint of who is the owner.
func (s *Store) hint(ctx context.Context) ([]byte, uint64, error) {
	try, cancel := context.WithTimeout(ctx, tryFor)
	defer cancel()
	return s.ground.Hints.Get(try, shardKey)
}

// sign tells a sign of this gateway, and leaves it in the hint if nobody else has since. The error
// is that of the hint.
func (s *Store) sign(ctx context.Context, kind string) error {
	s.mu.Lock()
	r := s.reign
	s.mu.Unlock()
	now := int64(0)
	var stats *glassq.Stats
	if r != nil {
		now = r.engine.LogTime()
		if is, err := s.Stats(ctx); err == nil {
			is.Cluster.Gateways = nil // each one tells of itself
			stats = &is
		}
	}
	s.mu.Lock()
	if r != nil {
		s.high, s.heardAt = witness{r.sureOf(), "this gateway"}, time.Now()
		s.logNow, s.logAt, s.toldAt = now, s.heardAt, s.heardAt
	}
	text, err := json.Marshal(sign{Store: hex.EncodeToString(s.id[:]), Kind: kind, From: s.name, Epoch: s.epoch,
		Number: s.high.number, Chain: s.high.chain, Now: now, Stats: stats})
	revision := s.revision
	s.mu.Unlock()
	if err != nil {
		return err
	}
	if kind == owns {
		s.ground.Bus.Tell(text) // who does not hear it reads the hint
	}
	// An owner that goes is to hear of the revision that it has left, else it cannot say that it goes.
	try, cancel := context.WithTimeout(context.WithoutCancel(ctx), tryFor)
	defer cancel()
	began := time.Now()
	revision, err = s.ground.Hints.Set(try, shardKey, text, revision)
	if err != nil {
		s.noRoom(err)
		return err
	}
	s.mu.Lock()
	if s.revision = revision; kind == owns {
		s.shownAt, s.full = began, nil
	}
	s.mu.Unlock()
	if kind != owns {
		s.ground.Bus.Tell(text)
	}
	return nil
}

// noRoom notes, if err says so, that for lack of room nobody can be the owner.
func (s *Store) noRoom(err error) {
	if !errors.Is(err, ErrFull) {
		return
	}
	s.mu.Lock()
	s.full = err
	s.mu.Unlock()
	s.say("the store stands still", err)
}

// beat shows signs of life until ctx is done. A take-over may take longer than others are patient.
func (s *Store) beat(ctx context.Context) {
	for {
		select {
		case <-time.After(s.opt.Beat):
		case <-ctx.Done():
			return
		}
		kind, r := takes, s.serving()
		if r != nil {
			kind = owns
			if r.stuck(patience * s.opt.Beat) {
				r.abandon()
			}
			if r.stuck(s.opt.Beat) {
				continue // whoever reaches the log may take over
			}
		}
		if err := s.sign(ctx, kind); err != nil { // another one wants it, perhaps: the log decides
			if r != nil && r.doubts.CompareAndSwap(false, true) {
				s.wg.Go(func() {
					r.engine.Prove()
					r.doubts.Store(false)
				})
			}
			if _, at, err := s.hint(ctx); err == nil {
				s.mu.Lock()
				s.revision = at
				s.mu.Unlock()
			}
		}
		if err := s.remember(); err != nil {
			s.say("the hint file is not written", err)
		}
		s.look(ctx)
	}
}

// rule takes over and serves as the owner until that is over.
func (s *Store) rule(ctx context.Context) {
	beats, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { s.beat(beats) })
	r, err := s.takeOver(ctx)
	switch {
	case err == nil:
		s.mu.Lock()
		s.reign, s.owner, s.epoch, s.left = r, s.name, r.epoch, false
		s.change()
		s.mu.Unlock()
		s.opt.Logger.Info("this gateway owns the store", "epoch", r.epoch)
		s.sign(ctx, owns)
		select {
		case <-r.engine.Failed():
		case <-ctx.Done():
		}
	case fatal(err):
		s.fail(err)
	case ctx.Err() == nil:
		s.say("this gateway could not take over", err)
		select {
		case <-time.After(tryFor):
		case <-ctx.Done():
		}
	}
	cancel()
	wg.Wait()
	if r == nil {
		return
	}
	s.depose(r)
	s.retire(ctx, r)
}

// look asks how the log is, for the room in it.
func (s *Store) look(ctx context.Context) {
	try, cancel := context.WithTimeout(ctx, tryFor)
	defer cancel()
	if info, err := s.ground.Log.Info(try); err == nil {
		s.mu.Lock()
		r := s.reign
		s.mu.Unlock()
		if r != nil {
			r.look(info)
		}
	}
}

// taker is for one take-over.
func (s *Store) taker() *taker {
	s.mu.Lock()
	high := s.high
	s.mu.Unlock()
	return &taker{log: s.ground.Log, bucket: s.ground.Bucket, store: s.id, cut: s.opt.ExtentBytes, high: high,
		full: s.noRoom, seen: s.seen, opt: engine.Options{CacheBytes: s.opt.CacheBytes,
			CheckpointEvery: s.opt.CheckpointEvery, MaxQueues: s.opt.MaxQueues, MaxRuns: s.opt.MaxRuns,
			Logger: s.opt.Logger, Wall: s.opt.Wall, PutItself: s.opt.PutItself}}
}

// takeOver reads the log, claims it and starts an engine.
func (s *Store) takeOver(ctx context.Context) (*reign, error) {
	r, err := s.taker().take(ctx)
	if err != nil {
		return nil, err
	}
	r.tighten()
	go r.run()
	stop := context.AfterFunc(ctx, r.abandon)
	err = r.engine.Start()
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		r.stop()
		return nil, errors.Join(err, r.engine.Close())
	}
	return r, nil
}

// depose has calls wait for the next owner, if r is still served.
func (s *Store) depose(r *reign) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reign == r {
		s.reign = nil
		if s.owner == s.name {
			s.owner = ""
			r.mu.Lock()
			s.loneAt = r.stuckAt // zero: now
			if r.full != nil {
				s.full = r.full
			}
			r.mu.Unlock()
		}
		s.change()
	}
}
