package cluster

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"time"
)

const (
	askEvery  = 2 // beats, before a caller that has heard nothing asks whether its call is still there
	busyPause = 20 * time.Millisecond
	ownerHas  = 3 * time.Second // to say what became of a call that was cancelled, or when there is another owner
)

var (
	// errMoved: the call was surely not done, and there is or will be another owner.
	errMoved = errors.New("the owner has changed")
	// errLost: nobody will ever say what became of the call.
	errLost = errors.New("the owner is gone, and the call with it or not")
	// errSilent: nothing has been heard of the owner for long, and the call was surely not done.
	errSilent = errors.New("the owner does not answer")
	// errLostSilent: the same, and the call may be done or not.
	errLostSilent = errors.New("the owner does not answer any more")
)

// calls are those that this gateway has made at owners.
type calls struct {
	s     *Store
	ended ended
	wg    sync.WaitGroup // calls under way
	over  chan struct{}  // closed by close

	mu      sync.Mutex // guards everything below
	closed  bool
	next    uint64
	bytes   int // of answers that are coming in
	waiting map[uint64]*waiting
}

// A waiting call is one of which no answer is there.
type waiting struct {
	joiner
	done chan struct{} // closed when the answer is whole
}

func newCalls(s *Store) *calls {
	return &calls{s: s, over: make(chan struct{}), waiting: map[uint64]*waiting{}}
}

// close ends all calls: those that wait are cancelled, and what becomes of the others is waited for.
func (c *calls) close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	close(c.over)
	c.wg.Wait()
}

// make has the owner do a call and returns its answer. A call that waits is cancelled at the end of
// ctx, and its answer says whether it was done before; the end of ctx leaves any other with errLost.
// The errors are errMoved, errLost, errSilent, errLostSilent, and that of ctx.
func (c *calls) make(ctx context.Context, owner string, data []byte, waits bool, changed <-chan struct{}) (*joiner,
	error) {
	w := &waiting{done: make(chan struct{})}
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil, errMoved
	}
	c.wg.Add(1)
	defer c.wg.Done()
	c.next++
	id := callID{c.s.name, c.next}
	c.waiting[id.id] = w
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		delete(c.waiting, id.id)
		c.bytes -= w.size
		c.mu.Unlock()
	}()
	if err := c.send(ctx, owner, id, data, changed); err != nil {
		select {
		case <-w.done: // it was heard after all
			c.ended.add(id)
			return &w.joiner, nil
		default:
			return nil, err
		}
	}
	var ends <-chan time.Time // when the owner has had its time to say what became of the call
	over, done, kind := c.over, ctx.Done(), byte(pieceAsk)
	for heardAt := time.Now(); ; {
		select {
		case <-w.done:
			c.ended.add(id)
			return &w.joiner, nil
		case <-ends:
			return nil, cmp.Or(ctx.Err(), errLost)
		case <-changed:
			var now string
			if now, changed = c.s.heardOwner(); ends == nil && now != "" && now != owner {
				ends = time.After(ownerHas)
			}
			continue
		case <-done:
			if !waits {
				return nil, errLost
			}
			done, ends, kind = nil, time.After(ownerHas), pieceCancel
		case <-over:
			if c.s.atOnce.Load() {
				return nil, errLost
			}
			over, ends = nil, time.After(ownerHas)
			if waits {
				kind = pieceCancel
			}
		case <-time.After(askEvery * c.s.opt.Beat):
		}
		reply, err := c.request(owner, &piece{kind: kind, parts: 1, callID: id, made: time.Now()})
		select {
		case <-w.done: // meanwhile
			continue
		default:
		}
		switch {
		case err == nil && reply != receiptHeard || errors.Is(err, ErrNobody):
			return nil, cmp.Or(ctx.Err(), errLost)
		case err == nil:
			heardAt = time.Now()
		case time.Since(heardAt) > patience*c.s.opt.Beat:
			return nil, cmp.Or(ctx.Err(), errLostSilent)
		}
	}
}

// send sends a call.
func (c *calls) send(ctx context.Context, owner string, id callID, data []byte, changed <-chan struct{}) error {
	pieces := cutPieces(pieceCall, id, data, c.s.ground.Bus.MaxMessage())
	maybe := false // the last piece may have arrived
	moved := func() error {
		if maybe {
			return errLost
		}
		return errMoved
	}
	heardAt := time.Now()
	for i := 0; i < len(pieces); {
		reply, err := c.request(owner, &pieces[i])
		if err == nil {
			heardAt = time.Now()
		}
		switch {
		case err == nil && reply == receiptHeard:
			i++
			continue
		case err == nil && reply == receiptBusy:
		case err == nil || errors.Is(err, ErrNobody):
			return moved()
		default:
			maybe = maybe || i == len(pieces)-1
			if time.Since(heardAt) > patience*c.s.opt.Beat && maybe {
				return errLostSilent
			} else if time.Since(heardAt) > patience*c.s.opt.Beat {
				return errSilent
			}
		}
		select {
		case <-time.After(busyPause):
		case <-changed:
			if now, next := c.s.heardOwner(); now == owner {
				changed = next
			} else {
				return moved()
			}
		case <-c.over:
			return moved()
		case <-ctx.Done():
			if maybe {
				return errLost
			}
			return ctx.Err()
		}
	}
	return nil
}

// request sends a piece and returns the receipt.
func (c *calls) request(to string, p *piece) (byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), tryFor)
	defer cancel()
	reply, err := c.s.ground.Bus.Request(ctx, to, p.append(nil))
	if err == nil && len(reply) != 1 {
		err = errors.New("the receipt does not read")
	}
	if err != nil {
		return 0, err
	}
	return reply[0], nil
}

// answer takes a piece of an answer.
func (c *calls) answer(p piece) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	w := c.waiting[p.id]
	switch {
	case p.from != c.s.name || w == nil && !c.ended.has(p.callID):
		return []byte{receiptUnknown}
	case w == nil || w.parts != nil && w.have == len(w.parts):
		return []byte{receiptHeard}
	case c.bytes > mostBytes:
		return []byte{receiptBusy}
	}
	before := w.size
	if w.add(p) {
		close(w.done)
	}
	c.bytes += w.size - before
	return []byte{receiptHeard}
}
