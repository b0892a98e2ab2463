package cluster

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/engine"
)

const (
	window    = 4                       // frames with the log at a time
	frameSoft = 512 << 10               // bytes of a frame that takes no more records
	late      = 1500 * time.Millisecond // an answer that has not come by then is looked for in the log
	tryFor    = 500 * time.Millisecond  // one read of the log
	tryPause  = 50 * time.Millisecond   // before the next one
	envelope  = 128                     // bytes that the log's machines keep beside each message, about
	fullPause = time.Second             // before a message is sent again for which there was no room
)

// policy is what a log of several machines needs of the engine.
func policy(seen func(last int64) (time.Duration, bool)) engine.Policy {
	return engine.Policy{Window: window, HandOutsWait: true, ExtendsWait: true, ReadsWait: true, Seen: seen,
		Stops: time.Second, Fresh: time.Second, NumbersByTime: true, FreesFront: true, FrameBytes: frameSoft,
		MostAway: time.Hour}
}

// deposed answers calls of an owner that is not one any more: the call was surely not done, and may
// be made again at the next owner.
type deposed struct {
	by   string
	void bool // it was a void message of a former owner, so there is no next one yet
}

func (d *deposed) Error() string {
	return "this gateway does not own the store any more (" + d.by + "); the call was not done"
}

// Unwrap gives it the code unavailable.
func (d *deposed) Unwrap() error {
	return &glassq.Error{Code: glassq.CodeUnavailable, Message: d.Error()}
}

// A lost log has gone back, or rotted, behind what was confirmed. No gateway goes on from there.
func lost(format string, args ...any) error {
	return glassq.Errorf(glassq.CodeDamaged, format, args...)
}

// unsure answers calls of which a gateway that stops does not know whether they are done.
func unsure() error {
	return glassq.Errorf(glassq.CodeUnknown, "the gateway stopped before the log answered: the call may be done or not")
}

// A sent message is not confirmed yet.
type sent struct {
	number uint64
	msg    []byte
	end    *engine.Frame // the frame that is whole with it, or nil
	chain  uint64        // after it
	told   error         // what its last answer said
	heard  bool          // there was one
	round  int           // of sending
}

// A reign is the time of one owner, from its claim on: it is the engine's log. One goroutine, run,
// sends and hears; nothing of the state is patched when a message is refused, the reign ends.
type reign struct {
	log    FencedLog
	bucket Bucket
	store  storeID
	epoch  uint64
	writer uint64
	engine *engine.Engine

	given  chan *engine.Frame // for run, which takes them one at a time
	heard  chan struct{}      // answers has something
	quit   chan struct{}      // closed: run fails what it has and ends
	once   sync.Once          // quit
	over   chan struct{}      // closed when run has ended
	closed atomic.Bool        // the engine is
	doubts atomic.Bool        // whether another one owns the log is being found out

	mu      sync.Mutex // guards everything down to the next gap
	answers []answer
	sentTo  point             // the last message sent
	sure    point             // the last message confirmed
	stuckAt time.Time         // since when the log has not answered; zero: it does
	full    error             // what it says while it has no room for what was sent to it
	extents []engine.Extent   // the last one takes what comes
	cut     int64             // bytes of an extent that takes no more
	writers []writer          // who wrote which messages, by the first of them
	marks   map[uint64]uint64 // chain by number, at the ends of frames that a checkpoint may be of
	points  []point           // of which there are checkpoints, oldest first; two at most
	info    Info              // as of the last look
	unseen  []weight          // messages sent that info does not count
	grown   int64             // bytes of them
	leaving bool              // no checkpoint is written any more

	flying []*sent // run only
	round  int     // run only
}

// A writer wrote the messages from first on, until the next one's.
type writer struct {
	First  uint64 `json:"first"`
	Epoch  uint64 `json:"epoch"`
	Writer uint64 `json:"writer"`
}

// A weight is the bytes that a message takes in the log.
type weight struct {
	number uint64
	bytes  int64
}

type answer struct {
	number uint64
	round  int
	err    error
}

var _ engine.Log = (*reign)(nil)

func (r *reign) Head() int { return headSize }

func (r *reign) Next() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sentTo.number + 1
}

// parts is how many messages a frame with size bytes of records takes.
func (r *reign) parts(size int) int {
	most := r.log.MaxMessage() - headSize
	return max(1, (size+most-1)/most)
}

func (r *reign) After(id uint64, size int) uint64 { return id + uint64(r.parts(size)) }

func (r *reign) Commit(f *engine.Frame) {
	select {
	case r.given <- f: // run takes it when it may be sent
	case <-r.over:
		f.Failed(&deposed{by: "it stopped"})
	}
}

// run sends frames and hears of them until quit is closed or the reign is over.
func (r *reign) run() {
	defer close(r.over)
	timer := time.NewTimer(late)
	defer timer.Stop()
	for {
		var overdue <-chan time.Time
		if len(r.flying) > 0 {
			overdue = timer.C
		}
		select {
		case f := <-r.given:
			if len(r.flying) == 0 {
				timer.Reset(late)
			}
			r.send(f)
			continue
		case <-r.heard:
			before := len(r.flying)
			if r.hear() {
				if len(r.flying) < before {
					timer.Reset(late)
				}
				continue
			}
		case <-overdue:
		case <-r.quit:
			if !r.closed.Load() {
				r.end(unsure())
			}
			return
		}
		if err := r.resolve(); err != nil {
			r.end(err)
			return
		}
		timer.Reset(late)
	}
}

// end fails all frames that are with the log. What is not with it yet is surely not done.
func (r *reign) end(err error) {
	if glassq.CodeOf(err) == glassq.CodeUnknown {
		by := "it gave up waiting for the log"
		if len(r.flying) > 0 && r.flying[0].told != nil {
			by += ", which says: " + r.flying[0].told.Error()
		}
		r.engine.Fail(&deposed{by: by})
	}
	for _, m := range r.flying {
		if m.end != nil {
			m.end.Failed(err)
		}
	}
	r.flying = nil
	r.engine.Fail(err)
}

// send makes the messages of a frame and sends them.
func (r *reign) send(f *engine.Frame) {
	r.mu.Lock()
	at := r.sentTo
	if last := &r.extents[len(r.extents)-1]; last.Frames >= r.cut {
		last.Sealed, last.End = true, f.ID
		r.extents = append(r.extents, engine.Extent{No: last.No + 1, First: f.ID, End: f.ID})
	}
	records := f.Buf[headSize:]
	h := head{store: r.store, epoch: r.epoch, writer: r.writer, time: f.Time, first: f.ID, records: uint32(f.Count),
		parts: uint32(r.parts(len(records)))}
	var made []*sent
	for h.part = 1; h.part <= h.parts; h.part++ {
		msg := f.Buf
		if h.parts > 1 {
			n := min(len(records), r.log.MaxMessage()-headSize)
			msg = append(make([]byte, headSize, headSize+n), records[:n]...)
			records = records[n:]
		}
		h.link, h.number = at.chain, at.number+1
		at = point{h.number, h.seal(msg)}
		m := &sent{number: at.number, msg: msg, chain: at.chain}
		if h.part == h.parts {
			m.end = f
		}
		made = append(made, m)
		r.count(len(msg), at.number)
		w := weight{at.number, int64(len(msg)) + envelope}
		r.unseen, r.grown = append(r.unseen, w), r.grown+w.bytes
	}
	if f.Durable {
		r.marks[at.number] = at.chain
	}
	r.sentTo = at
	r.mu.Unlock()
	r.tighten()
	r.flying = append(r.flying, made...)
	for _, m := range made {
		r.append(m)
	}
}

// count adds a message to the last extent; mu is held.
func (r *reign) count(size int, number uint64) {
	last := &r.extents[len(r.extents)-1]
	last.Frames += int64(size)
	last.Bytes += int64(size)
	last.End = number + 1
}

func (r *reign) append(m *sent) {
	m.heard, m.told, m.round = false, nil, r.round
	number, round := m.number, r.round
	r.log.Append(m.number-1, m.msg, func(err error) {
		r.mu.Lock()
		r.answers = append(r.answers, answer{number, round, err})
		r.mu.Unlock()
		select {
		case r.heard <- struct{}{}:
		default:
		}
	})
}

// hear takes the answers that have come and tells whether all of them are good. A message is
// confirmed when those before it are: one that was stored behind another's message is void.
func (r *reign) hear() bool {
	r.mu.Lock()
	answers := r.answers
	r.answers = nil
	for _, a := range answers {
		if errors.Is(a.err, ErrFull) {
			r.full = a.err
		}
	}
	r.mu.Unlock()
	good := true
	for _, a := range answers {
		i := slices.IndexFunc(r.flying, func(m *sent) bool { return m.number == a.number })
		if i < 0 || r.flying[i].round != a.round {
			continue
		}
		r.flying[i].heard, r.flying[i].told = true, a.err
		good = good && a.err == nil
	}
	for len(r.flying) > 0 && r.flying[0].heard && r.flying[0].told == nil {
		r.confirm()
	}
	return good
}

// confirm notes that the oldest message is stored.
func (r *reign) confirm() {
	m := r.flying[0]
	r.flying = r.flying[1:]
	grew := false
	r.mu.Lock()
	r.sure, r.stuckAt, r.full = point{m.number, m.chain}, time.Time{}, nil
	if f := m.end; f != nil {
		grew = slices.ContainsFunc(r.extents, func(x engine.Extent) bool { return x.First == f.ID })
	}
	r.mu.Unlock()
	if m.end == nil {
		return
	}
	if grew {
		r.engine.ExtentsGrew()
	}
	m.end.Done(time.Time{})
}

// resolve finds out what became of the messages that are not confirmed, for as long as it takes. No
// other message is sent meanwhile. It returns nil when all of them are confirmed or sent again, or
// why the reign is over.
func (r *reign) resolve() error {
	r.mu.Lock()
	if r.stuckAt.IsZero() {
		r.stuckAt = time.Now()
	}
	r.mu.Unlock()
	for len(r.flying) > 0 {
		m := r.flying[0]
		msg, err := tryRead(r.log, m.number, r.quit)
		switch {
		case err == nil && bytes.Equal(msg, m.msg):
			r.confirm()
			continue
		case err == nil:
			h, _, err := open(msg)
			return &deposed{fmt.Sprintf("another one wrote message %d of the log", m.number), err == nil && h.epoch < r.epoch}
		case errors.Is(err, ErrGone):
			return lost("the log of the store was deleted under it; %s was stored in it", r.surely())
		case errors.Is(err, ErrNoMessage):
		case r.waits(tryPause):
			continue
		default:
			return unsure()
		}
		// It is not there now. That proves nothing, so the same bytes are sent again; one copy can be
		// stored at most.
		ctx, cancel := context.WithTimeout(context.Background(), tryFor)
		info, err := r.log.Info(ctx)
		cancel()
		pause := tryPause
		switch {
		case err != nil:
			continue
		case info.Last < m.number-1:
			return lost("the log ends with message %d, and %s was stored: the machines have lost what they confirmed",
				info.Last, r.surely())
		case info.First > m.number: // by another owner, who has read what was there
			return glassq.Errorf(glassq.CodeUnknown, "message %d of the log was purged before this gateway heard of it: the call may be done or not", m.number)
		case info.Last >= m.number: // it has come since
			continue
		case m.heard && errors.Is(m.told, ErrFull):
			pause = fullPause
		}
		if !r.waits(pause) {
			return unsure()
		}
		r.round++
		for _, m := range r.flying {
			r.append(m)
		}
		return nil
	}
	return nil
}

// surely names the last message that was confirmed.
func (r *reign) surely() string { return "message " + r.sureOf().String() }

// waits waits, unless the reign is to end.
func (r *reign) waits(d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-r.quit:
		return false
	}
}

// abandon ends the reign: what is not confirmed stays unknown.
func (r *reign) abandon() { r.once.Do(func() { close(r.quit) }) }

// stop abandons the reign and waits for its end.
func (r *reign) stop() {
	r.abandon()
	<-r.over
}

// stuck tells whether the log has not answered for longer than d.
func (r *reign) stuck(d time.Duration) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.stuckAt.IsZero() && time.Since(r.stuckAt) > d
}

// sureOf is the last message confirmed.
func (r *reign) sureOf() point {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sure
}

// tryRead reads a message from the machine that orders them; quit ends it.
func tryRead(log FencedLog, number uint64, quit <-chan struct{}) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), tryFor)
	defer cancel()
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		select {
		case <-quit:
			cancel()
		case <-stop:
		}
	}()
	return log.Read(ctx, number)
}

// Read reads a frame from whatever machine is fastest, and from the one that orders messages when
// that does not check out.
func (r *reign) Read(id uint64, _ []byte) (engine.Stored, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*tryFor)
	defer cancel()
	f := frameReader{r: r, id: id}
	err := r.log.Scan(ctx, id, 1, f.take)
	if err == nil && f.parts > 1 {
		err = r.log.Scan(ctx, id+1, int(f.parts)-1, f.take)
	}
	for err != nil || !f.whole() {
		msg, readErr := r.log.Read(ctx, id+uint64(f.part))
		switch err = readErr; {
		case errors.Is(err, ErrNoMessage):
			return engine.Stored{}, engine.Damaged(fmt.Errorf("message %d of the log is not there any more", id+uint64(f.part)))
		case err != nil:
			return engine.Stored{}, fmt.Errorf("message %d of the log: %w", id+uint64(f.part), err)
		case !f.take(id+uint64(f.part), msg) && !f.whole():
			return engine.Stored{}, engine.Damaged(f.why)
		}
	}
	return f.Stored, nil
}

// A frameReader puts the parts of a frame together.
type frameReader struct {
	engine.Stored
	r           *reign
	id          uint64
	part, parts uint32
	why         error
}

func (f *frameReader) whole() bool { return f.part > 0 && f.part == f.parts }

// take takes the next part, and tells whether there are more.
func (f *frameReader) take(n uint64, msg []byte) bool {
	h, body, err := open(msg)
	switch {
	case err != nil:
		f.why = fmt.Errorf("message %d of the log: %w", n, err)
	case h.store != f.r.store || h.number != n || h.first != f.id || h.part != f.part+1 || !f.r.wrote(&h):
		f.why = fmt.Errorf("message %d of the log is another one", n)
	default:
		f.Time, f.part, f.parts = h.time, h.part, h.parts
		if f.Records == nil {
			f.Records = body
		} else {
			f.Records = append(f.Records, body...)
		}
		return h.part < h.parts
	}
	return false
}

// wrote tells whether the writer of a message was the owner then.
func (r *reign) wrote(h *head) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, w := range slices.Backward(r.writers) {
		if h.number >= w.First {
			return h.epoch == w.Epoch && h.writer == w.Writer
		}
	}
	return len(r.writers) == 0
}

// held is the log as of the last look, with the bytes that it may have when all that was sent is stored.
func (r *reign) held() Info {
	r.mu.Lock()
	defer r.mu.Unlock()
	info := r.info
	info.Bytes += r.grown
	return info
}

// tighten has the engine ask for room once there is little.
func (r *reign) tighten() {
	info := r.held()
	r.engine.SetTight(info.MaxBytes > 0 && info.Bytes > info.MaxBytes/100*85)
}

// Room keeps a tenth of the log's room for what makes room.
func (r *reign) Room(kind engine.Kind, size int) error {
	info := r.held()
	share := map[engine.Kind]int64{engine.Grows: 90, engine.Answers: 97, engine.Shrinks: 100}[kind]
	if info.MaxBytes == 0 || info.Bytes+int64(size) <= info.MaxBytes/100*share {
		return nil
	}
	return glassq.Errorf(glassq.CodeStorageFull, "the log holds %d of its %d bytes; raise its max_bytes, what its NATS account may store, or max_file_store of its servers, or have tasks done",
		info.Bytes, info.MaxBytes)
}

// look asks how full the log is.
func (r *reign) look(info Info) {
	r.mu.Lock()
	r.info = info
	for len(r.unseen) > 0 && r.unseen[0].number <= info.Last {
		r.grown -= r.unseen[0].bytes
		r.unseen = r.unseen[1:]
	}
	r.mu.Unlock()
	r.tighten()
}

func (r *reign) Extents() []engine.Extent {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.extents)
}

// Free purges the oldest extent; others wait until they are.
func (r *reign) Free(x engine.Extent) error {
	r.mu.Lock()
	first, last := r.extents[0], r.sure.number
	r.mu.Unlock()
	if first.No != x.No || x.End > last {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*tryFor)
	defer cancel()
	if err := r.log.Purge(ctx, x.End); err != nil {
		return fmt.Errorf("purge the log up to message %d: %w", x.End, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.extents = r.extents[1:]
	for len(r.writers) > 1 && r.writers[1].First <= x.End {
		r.writers = r.writers[1:]
	}
	return nil
}

func (r *reign) Idle(time.Time) time.Time { return time.Time{} }

// chance is a number that nobody else has.
func chance() uint64 {
	var b [8]byte
	rand.Read(b[:]) // never fails
	return binary.LittleEndian.Uint64(b[:])
}
