// Package clustertest is ground in memory for tests of internal/cluster: a log, a bus, hints and a
// bucket that several programs share, with the faults that real ones have.
//
// Faults come by chance from a seed, or when a test calls for them. Time is package time's, so all
// of it works in a testing/synctest bubble.
package clustertest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/glassq/glassq/internal/cluster"
)

// Faults are the chances, from 0 to 1, that something goes wrong with one call.
type Faults struct {
	Lost       float64 // a message does not reach the log, or another program
	Unanswered float64 // it does, and nobody hears of it
	Late       float64 // it reaches the log after others, up to 6 s later
	Refused    float64 // it is stored, and the answer is ErrRefused, as after a second copy
	Stale      float64 // a scan ends before the end of the log
	Skipped    float64 // a scan leaves a message out
	Rotten     float64 // a scan passes a message with a bit flipped
	ReadFails  float64 // a call of a read, a hint or the bucket fails
}

// Options tunes New. The zero value has no faults and no delays.
type Options struct {
	Seed    uint64
	Faults  Faults
	Delay   time.Duration // from a message's place in the order until it is stored
	Hop     time.Duration // from one program to another
	Message int           // cluster.FencedLog.MaxMessage and cluster.Bus.MaxMessage; 0 means 64 KiB
	Bytes   int64         // cluster.Info.MaxBytes: what is beyond is refused with ErrFull; 0 is no limit
}

// A World is what several machines keep and carry together.
type World struct {
	opt Options

	mu      sync.Mutex // guards everything below
	rand    *rand.Rand
	faults  Faults
	log     []message // from number first on
	first   uint64
	bytes   int64
	paused  time.Time // until then no machine orders messages
	gone    bool
	refused int // messages for which there was no room

	fullLog, fullHints bool
	hints              map[string]hint
	objects            map[string][]byte
	serving            map[string]*Member
	members            []*Member
}

type message struct {
	data []byte
	at   time.Time // when it is stored; before that only the order counts it
	term int       // of the pause before which it was ordered
}

type hint struct {
	value    []byte
	revision uint64
}

// New makes an empty world.
func New(opt Options) *World {
	if opt.Message == 0 {
		opt.Message = 64 << 10
	}
	return &World{opt: opt, rand: rand.New(rand.NewPCG(opt.Seed, 1)), faults: opt.Faults, first: 1,
		hints: map[string]hint{}, objects: map[string][]byte{}, serving: map[string]*Member{}}
}

// SetFaults changes the chances from now on.
func (w *World) SetFaults(f Faults) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.faults = f
}

// chance tells whether a fault of that chance happens; mu is held.
func (w *World) chance(p float64) bool { return p > 0 && w.rand.Float64() < p }

// Elect has the machine that orders messages die: what is not stored yet is lost, or some of its
// front is not, and for as long as pause nothing is ordered, read from it, or answered.
func (w *World) Elect(pause time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	stored := w.stored()
	kept := stored + w.rand.IntN(len(w.log)-stored+1)
	for i := stored; i < kept; i++ {
		w.log[i].at = time.Now()
		w.log[i].term = -1 // its answer is lost
	}
	w.drop(kept)
	w.paused = time.Now().Add(pause)
}

// Lose takes the log back to its message last, as a power cut of machines that store lazily does.
func (w *World) Lose(last uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if last < w.first {
		w.drop(0)
		w.first = last + 1
		return
	}
	w.drop(int(last + 1 - w.first))
}

// drop forgets the messages from place i of log on; mu is held.
func (w *World) drop(i int) {
	for _, m := range w.log[i:] {
		w.bytes -= int64(len(m.data))
	}
	w.log = w.log[:i]
}

// Fill has the log, and hints, take nothing any more, or something again. It returns how many messages were
// refused for that so far.
func (w *World) Fill(log, hints bool) (refused int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fullLog, w.fullHints = log, hints
	return w.refused
}

// Forget forgets a hint.
func (w *World) Forget(key string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.hints, key)
}

// Delete deletes the log, and with bucket the objects too.
func (w *World) Delete(log, bucket bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if log {
		w.log, w.bytes, w.gone = nil, 0, true
	}
	if bucket {
		w.objects = map[string][]byte{}
	}
}

// Purge removes the messages below first, as somebody does by hand; first may be one above the last.
func (w *World) Purge(first uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.purge(first)
}

// purge is Purge; mu is held.
func (w *World) purge(first uint64) {
	for w.first < first {
		w.bytes -= int64(len(w.log[0].data))
		w.log, w.first = w.log[1:], w.first+1
	}
}

// Vanish forgets everything, as a power cut of machines that have never synced does.
func (w *World) Vanish() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.log, w.first, w.bytes, w.gone = nil, 1, 0, false
	w.hints, w.objects = map[string]hint{}, map[string][]byte{}
}

// Spoil changes one stored message for all readers.
func (w *World) Spoil(n uint64, change func([]byte) []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	m := &w.log[n-w.first]
	m.data = change(bytes.Clone(m.data))
}

// Last is the number of the last message, stored or only ordered.
func (w *World) Last() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.last()
}

func (w *World) last() uint64 { return w.first + uint64(len(w.log)) - 1 }

// Messages are those stored, and the number of the first one.
func (w *World) Messages() (first uint64, all [][]byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, m := range w.log[:w.stored()] {
		all = append(all, m.data)
	}
	return w.first, all
}

// Bytes are those of all messages.
func (w *World) Bytes() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.bytes
}

// stored is how many messages of log are stored; mu is held.
func (w *World) stored() int {
	now := time.Now()
	i := slices.IndexFunc(w.log, func(m message) bool { return m.at.After(now) })
	if i < 0 {
		return len(w.log)
	}
	return i
}

// Objects are the names in the bucket.
func (w *World) Objects() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Sorted(maps.Keys(w.objects))
}

// A Member is one program's ground in a world. Close ends it.
type Member struct {
	world *World

	cutLog, cutBus, cutRest bool          // World.mu
	killed                  chan struct{} // closed by Kill
	handle                  map[string]func([]byte) []byte
	hear                    map[int]func([]byte)
	hears                   int
}

// Join adds a program.
func (w *World) Join() *Member {
	m := &Member{world: w, killed: make(chan struct{}), handle: map[string]func([]byte) []byte{},
		hear: map[int]func([]byte){}}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.members = append(w.members, m)
	return m
}

// Ground is what the program stands on.
func (m *Member) Ground() cluster.Ground {
	return cluster.Ground{Log: (*log)(m), Bus: (*bus)(m), Hints: (*hints)(m), Bucket: (*bucket)(m)}
}

// Cut cuts the program off from the log, from other programs, and from hints and bucket; or joins
// it again.
func (m *Member) Cut(log, bus, rest bool) {
	m.world.mu.Lock()
	defer m.world.mu.Unlock()
	m.cutLog, m.cutBus, m.cutRest = log, bus, rest
}

// Kill cuts everything for ever: nothing that the program still does has an effect, and what it has
// sent is in the log or not. It is called once.
func (m *Member) Kill() { m.world.Kill(m) }

// Kill kills members in one moment: none of them sees another one gone.
func (w *World) Kill(members ...*Member) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, m := range members {
		m.cutLog, m.cutBus, m.cutRest = true, true, true
		close(m.killed)
		maps.DeleteFunc(w.serving, func(_ string, by *Member) bool { return by == m })
		m.hear = nil
	}
}

var (
	errCut   = errors.New("cut off")
	errFault = errors.New("a fault of the test")
)

type log Member

func (l *log) Append(after uint64, msg []byte, answer func(error)) {
	w := l.world
	w.mu.Lock()
	defer w.mu.Unlock()
	if l.cutLog || w.chance(w.faults.Lost) {
		return
	}
	msg = bytes.Clone(msg)
	if w.chance(w.faults.Late) {
		late := time.Duration(w.rand.Int64N(int64(6 * time.Second)))
		time.AfterFunc(late, func() {
			w.mu.Lock()
			defer w.mu.Unlock()
			l.land(after, msg, answer)
		})
		return
	}
	l.land(after, msg, answer)
}

// land gives a message its place, or refuses it, and answers in time. World.mu is held.
func (l *log) land(after uint64, msg []byte, answer func(error)) {
	w := l.world
	var err error
	now := time.Now()
	switch {
	case w.gone:
		err = cluster.ErrGone
	case w.paused.After(now):
		return
	case after != w.last():
		err = cluster.ErrRefused
	case w.fullLog, w.opt.Bytes > 0 && w.bytes+int64(len(msg)) > w.opt.Bytes:
		w.refused++
		err = cluster.ErrFull
	}
	if err != nil {
		l.answer(0, func() bool { return true }, answer, err)
		return
	}
	at := now.Add(w.opt.Delay)
	w.log = append(w.log, message{data: msg, at: at})
	w.bytes += int64(len(msg))
	n := w.last()
	if w.chance(w.faults.Refused) {
		err = cluster.ErrRefused
	}
	same := func() bool { // it was not lost meanwhile
		return n < w.first || n <= w.last() && &w.log[n-w.first].data[0] == &msg[0] && w.log[n-w.first].term == 0
	}
	l.answer(w.opt.Delay, same, answer, err)
}

// answer answers after delay if nothing comes between; World.mu is held.
func (l *log) answer(delay time.Duration, still func() bool, answer func(error), err error) {
	w := l.world
	if w.chance(w.faults.Unanswered) {
		return
	}
	time.AfterFunc(delay, func() {
		w.mu.Lock()
		cut := l.cutLog || !still()
		w.mu.Unlock()
		if !cut {
			answer(err)
		}
	})
}

// begin is the start of a read; World.mu is held.
func (m *Member) begin(cut bool) error {
	switch {
	case cut:
		return errCut
	case m.world.chance(m.world.faults.ReadFails):
		return errFault
	}
	return nil
}

// lead is the start of a read from the machine that orders messages; World.mu is held.
func (l *log) lead(ctx context.Context) error {
	err := (*Member)(l).begin(l.cutLog)
	switch w := l.world; {
	case err != nil:
	case w.gone:
		err = cluster.ErrGone
	case w.paused.After(time.Now()):
		w.mu.Unlock()
		<-ctx.Done()
		w.mu.Lock()
		err = ctx.Err()
	}
	return err
}

func (l *log) Info(ctx context.Context) (cluster.Info, error) {
	w := l.world
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := l.lead(ctx); err != nil {
		return cluster.Info{}, err
	}
	return cluster.Info{First: w.first, Last: w.first + uint64(w.stored()) - 1, Bytes: w.bytes, MaxBytes: w.opt.Bytes,
		Leader: "a", Replicas: 3, InStep: 3}, nil
}

func (l *log) Read(ctx context.Context, n uint64) ([]byte, error) {
	w := l.world
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := l.lead(ctx); err != nil {
		return nil, err
	}
	if n < w.first || n >= w.first+uint64(w.stored()) {
		return nil, cluster.ErrNoMessage
	}
	return bytes.Clone(w.log[n-w.first].data), nil
}

func (l *log) Scan(_ context.Context, first uint64, most int, each func(uint64, []byte) bool) error {
	w := l.world
	w.mu.Lock()
	if err := (*Member)(l).begin(l.cutLog); err != nil {
		w.mu.Unlock()
		return err
	}
	type passed struct {
		n    uint64
		data []byte
	}
	var pass []passed
	first = max(first, w.first)
	end := w.first + uint64(w.stored())
	if w.chance(w.faults.Stale) && first < end {
		end = first + w.rand.Uint64N(end-first)
	}
	for n := first; n < end && len(pass) < most; n++ {
		data := bytes.Clone(w.log[n-w.first].data)
		switch {
		case w.chance(w.faults.Skipped):
			continue
		case w.chance(w.faults.Rotten):
			data[w.rand.IntN(len(data))] ^= 1 << w.rand.IntN(8)
		}
		pass = append(pass, passed{n, data})
	}
	w.mu.Unlock()
	for _, p := range pass {
		if !each(p.n, p.data) {
			break
		}
	}
	return nil
}

func (l *log) Purge(_ context.Context, first uint64) error {
	w := l.world
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := (*Member)(l).begin(l.cutLog); err != nil {
		return err
	}
	if first > w.last() {
		panic("clustertest: the last message is to stay")
	}
	w.purge(first)
	return nil
}

func (l *log) MaxMessage() int { return l.world.opt.Message }

type hints Member

func (h *hints) Get(_ context.Context, key string) ([]byte, uint64, error) {
	w := h.world
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := (*Member)(h).begin(h.cutRest); err != nil {
		return nil, 0, err
	}
	x := w.hints[key]
	return bytes.Clone(x.value), x.revision, nil
}

func (h *hints) Set(_ context.Context, key string, value []byte, revision uint64) (uint64, error) {
	w := h.world
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := (*Member)(h).begin(h.cutRest); err != nil {
		return 0, err
	}
	if w.fullHints {
		return 0, cluster.ErrFull
	}
	if w.hints[key].revision != revision {
		return 0, cluster.ErrRefused
	}
	w.hints[key] = hint{bytes.Clone(value), revision + 1}
	if w.chance(w.faults.Unanswered) {
		return 0, errFault
	}
	return revision + 1, nil
}

type bucket Member

func (b *bucket) Put(_ context.Context, name string, r io.Reader) error {
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	w := b.world
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := (*Member)(b).begin(b.cutRest); err != nil {
		return err
	}
	w.objects[name] = data
	return nil
}

func (b *bucket) Get(_ context.Context, name string) (io.ReadCloser, error) {
	w := b.world
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := (*Member)(b).begin(b.cutRest); err != nil {
		return nil, err
	}
	data, ok := w.objects[name]
	if !ok {
		return nil, cluster.ErrNoMessage
	}
	return io.NopCloser(bytes.NewReader(data)), nil
}

func (b *bucket) Names(context.Context) ([]string, error) {
	w := b.world
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := (*Member)(b).begin(b.cutRest); err != nil {
		return nil, err
	}
	return slices.Collect(maps.Keys(w.objects)), nil
}

func (b *bucket) Delete(_ context.Context, name string) error {
	w := b.world
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := (*Member)(b).begin(b.cutRest); err != nil {
		return err
	}
	delete(w.objects, name)
	return nil
}
