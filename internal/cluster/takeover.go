package cluster

import (
	"bufio"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/engine"
)

const scanMost = 1000 // messages of one scan

// errDiverged: a machine showed another log than the one that orders messages.
var errDiverged = errors.New("a machine holds another log than the rest")

// errPurged: the log was purged while it was read.
var errPurged = errors.New("the log was purged meanwhile")

// A taker reads the log up to its end and begins a reign there.
type taker struct {
	log    FencedLog
	bucket Bucket
	store  storeID
	opt    engine.Options
	cut    int64 // bytes of an extent

	// high is a point that the log has had: it is not right without it. Number 0 is none.
	high witness
	// full is told why there is no room for the claim.
	full func(error)
	// seen is engine.Policy.Seen.
	seen func(last int64) (time.Duration, bool)

	strict bool // read only from the machine that orders messages
	r      *reign
	f      follower
	last   uint64 // chainOf the last message read, void or not
}

// A witness is a point that somebody remembers.
type witness struct {
	point
	who string
}

// take reads the log and claims it. An error with code damaged says that the log is not what it
// was; any other may pass. The reign runs then, and its engine has not been started.
func (t *taker) take(ctx context.Context) (*reign, error) {
	for {
		err := t.load(ctx)
		for err == nil {
			if err = t.read(ctx); err != nil {
				break
			}
			won, claimErr := t.claim(ctx)
			if won {
				return t.r, nil
			}
			err = claimErr
		}
		switch {
		case errors.Is(err, errPurged):
		case errors.Is(err, errDiverged) && !t.strict:
			t.strict = true
		default:
			return nil, err
		}
	}
}

// load begins with the newest checkpoint that reads, or with nothing.
func (t *taker) load(ctx context.Context) error {
	info, err := t.log.Info(ctx)
	if err != nil {
		return t.gone(err)
	}
	names, err := t.bucket.Names(ctx)
	if err != nil {
		return t.gone(err)
	}
	points := pointsIn(names)
	var said error
	for i, p := range points {
		if p.number > info.Last {
			return lost("the log ends with message %d, and there is a checkpoint of message %s: the machines have lost what they confirmed",
				info.Last, p)
		}
		if p.number+1 < info.First && said == nil {
			return lost("the log begins with message %d, and the newest checkpoint is of message %s: what is between was purged by somebody else",
				info.First, p)
		}
		if p.number+1 < info.First {
			break
		}
		if p.number >= info.First {
			msg, err := t.log.Read(ctx, p.number)
			if err != nil {
				return t.gone(err)
			}
			if len(msg) < headSize || chainOf(msg) != p.chain {
				return lost("message %d of the log is not the one that the checkpoint of message %s follows: the log went back and went on", p.number, p)
			}
		}
		t.begin()
		if said = t.restore(ctx, p); said == nil {
			t.r.points = slices.Clone(points[i:min(i+2, len(points))])
			slices.Reverse(t.r.points)
			return nil
		}
	}
	if t.begin(); info.First > 1 {
		if said != nil && !errors.Is(said, io.ErrUnexpectedEOF) {
			return said
		}
		return lost("the log begins with message %d, and no checkpoint that reads says what was before (%v)", info.First, said)
	}
	return nil
}

// begin makes a reign that has read nothing.
func (t *taker) begin() {
	t.r = &reign{log: t.log, bucket: t.bucket, store: t.store, cut: t.cut, marks: map[uint64]uint64{},
		extents: []engine.Extent{{First: 1, End: 1}}, given: make(chan *engine.Frame), heard: make(chan struct{}, 1),
		quit: make(chan struct{}), over: make(chan struct{})}
	t.f = follower{store: t.store}
	t.last = 0
	t.r.engine = engine.New(t.r, policy(t.seen), t.opt)
}

// restore reads a checkpoint.
func (t *taker) restore(ctx context.Context, p point) error {
	ctx, cancel := context.WithTimeout(ctx, checkpointFor)
	defer cancel()
	in, err := t.bucket.Get(ctx, nameOf(p))
	if err != nil {
		return fmt.Errorf("checkpoint %s: %w", p, err)
	}
	defer in.Close()
	b := bufio.NewReaderSize(in, 256<<10)
	var c checkpoint
	line, err := b.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &c)
	}
	same := c.Number == p.number && c.Chain == p.chain && c.Store == hex.EncodeToString(t.store[:])
	if err == nil && (!same || len(c.Extents) == 0) {
		err = errors.New("it is of something else")
	}
	if err != nil {
		return fmt.Errorf("checkpoint %s: %w", p, err)
	}
	t.r.extents, t.r.writers = c.Extents, c.Writers
	t.r.engine.ExtentsGrew()
	if err := t.r.engine.RestoreState(func(restore func(io.Reader) error) error { return restore(b) }); err != nil {
		return fmt.Errorf("checkpoint %s: %w", p, err)
	}
	t.f.at, t.f.epoch, t.f.writer = p, c.Epoch, c.Writer
	t.last = p.chain
	return nil
}

// gone says what it means that log, hints or bucket are not there.
func (t *taker) gone(err error) error {
	if !errors.Is(err, ErrGone) {
		return err
	}
	if w := t.high; w.number > 0 {
		return lost("the store was made, %s has seen message %s of its log, and a part of it is not there any more: %w", w.who, w.point, err)
	}
	return lost("the store was made, and a part of it is not there any more: %w", err)
}

// read reads on to the end of the log as the machine says that orders messages.
func (t *taker) read(ctx context.Context) error {
	info, err := t.log.Info(ctx)
	if err != nil {
		return t.gone(err)
	}
	t.r.info = info // there may be no room for what comes before the first look
	for t.f.at.number < info.Last {
		var bad error
		before := t.f.at.number
		if !t.strict {
			err := t.log.Scan(ctx, before+1, scanMost, func(n uint64, msg []byte) bool {
				if n > info.Last {
					return false
				}
				bad = t.feed(n, msg)
				return bad == nil
			})
			if fatal(bad) {
				return bad
			}
			if err != nil && ctx.Err() != nil {
				return err
			}
		}
		if bad == nil && t.f.at.number > before {
			continue
		}
		n := t.f.at.number + 1
		msg, err := t.log.Read(ctx, n)
		switch {
		case errors.Is(err, ErrNoMessage):
			if now, err := t.log.Info(ctx); err != nil || now.First > n {
				return errPurged // an owner that still lives has a newer checkpoint
			}
			return lost("message %d of the log is missing, and the log goes on to %d", n, info.Last)
		case err != nil:
			return t.gone(err)
		}
		if err := t.feed(n, msg); err != nil {
			if !t.strict && !fatal(err) {
				return errDiverged
			}
			return lost("the log is damaged, on the machine that orders its messages too: %w", err)
		}
	}
	if !t.strict && info.Last > 0 { // what other machines have shown may be another log
		msg, err := t.log.Read(ctx, info.Last)
		if err != nil {
			return t.gone(err)
		}
		if len(msg) < headSize || t.f.at.number == info.Last && chainOf(msg) != t.last {
			return errDiverged
		}
	}
	if w := t.high; w.number > t.f.at.number {
		return lost("the log ends with message %d, and %s has seen message %s: the machines have lost what they confirmed",
			t.f.at.number, w.who, w.point)
	}
	return nil
}

func fatal(err error) bool { return glassq.CodeOf(err) == glassq.CodeDamaged }

// feed takes the message n.
func (t *taker) feed(n uint64, msg []byte) error {
	epoch := t.f.epoch
	f, void, err := t.f.next(n, msg)
	if err != nil {
		return err
	}
	t.last = chainOf(msg)
	r := t.r
	if t.f.epoch != epoch {
		r.writers = append(r.writers, writer{n, t.f.epoch, t.f.writer})
	}
	if w := t.high; w.number == n && (void || w.chain != t.f.at.chain) {
		if t.strict {
			return lost("message %d of the log is not the one that %s has seen: the log went back and went on", n, w.who)
		}
		return errDiverged
	}
	r.count(len(msg), n)
	if f == nil {
		return nil
	}
	if last := &r.extents[len(r.extents)-1]; last.Frames >= r.cut && f.first > last.First {
		last.Sealed, last.End = true, f.first
		r.extents = append(r.extents, engine.Extent{No: last.No + 1, First: f.first, End: n + 1})
		r.engine.ExtentsGrew()
	}
	if err := r.engine.ReplayFrame(f.first, engine.Stored{Time: f.time, Records: f.records}); err != nil {
		return lost("the frame of message %d does not apply: %w", f.first, err)
	}
	return nil
}

// claim begins a reign at the end of what was read. It is not won when another message came first;
// then the log is to be read on.
func (t *taker) claim(ctx context.Context) (won bool, err error) {
	r := t.r
	h := head{store: t.store, link: t.f.at.chain, number: t.f.at.number + 1, epoch: t.f.epoch + 1,
		writer: chance(), first: t.f.at.number + 1, part: 1, parts: 1}
	msg := make([]byte, headSize)
	at := point{h.number, h.seal(msg)}
	for {
		told := make(chan error, 1)
		t.log.Append(h.number-1, msg, func(err error) { told <- err })
		select {
		case err = <-told:
		case <-time.After(late):
			err = errors.New("the log did not answer")
		case <-ctx.Done():
			return false, ctx.Err()
		}
		if err != nil { // even a refusal may come of the claim itself
			read, cancel := context.WithTimeout(ctx, tryFor)
			there, readErr := t.log.Read(read, h.number)
			cancel()
			switch {
			case readErr == nil && string(there) != string(msg):
				return false, nil
			case readErr == nil:
			case errors.Is(readErr, ErrGone):
				return false, t.gone(readErr)
			default:
				if is, err := t.log.Info(ctx); err == nil && is.First > h.number {
					return false, errPurged // another one came first, and it is gone already
				}
				pause := tryPause
				if errors.Is(err, ErrFull) {
					pause = fullPause
					t.full(err)
				}
				select {
				case <-time.After(pause):
					continue
				case <-ctx.Done():
					return false, ctx.Err()
				}
			}
		}
		r.epoch, r.writer = h.epoch, h.writer
		r.writers = append(r.writers, writer{h.number, h.epoch, h.writer})
		r.count(len(msg), h.number)
		r.sentTo, r.sure = at, at
		return true, nil
	}
}
