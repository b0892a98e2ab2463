package cluster

import (
	"context"
	"errors"
	"sync"
	"time"
)

const deliverFor = 10 * time.Second // that an owner tries to have its answer heard

// served are the calls of other gateways that this one does, or did, as the owner.
type served struct {
	s      *Store
	verbs  map[string]server // never changed
	ended  ended
	ctx    context.Context // of all calls; done by close
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu    sync.Mutex // guards everything below
	over  bool
	bytes int // of calls that are coming in or are being done
	open  map[callID]*incoming
}

// An incoming call is one that comes in or is being done.
type incoming struct {
	joiner
	at     time.Time // when its last piece came
	begun  bool
	cancel context.CancelFunc // with begun
}

func newServed(s *Store) *served {
	v := &served{s: s, verbs: servers(), open: map[callID]*incoming{}}
	v.ctx, v.cancel = context.WithCancel(context.Background())
	return v
}

// close ends all calls and waits for them.
func (v *served) close() {
	v.mu.Lock()
	v.over = true
	v.mu.Unlock()
	v.cancel()
	v.wg.Wait()
}

// take takes a piece of a call, or what is asked of one, and returns the receipt.
func (v *served) take(p piece) []byte {
	v.mu.Lock()
	defer v.mu.Unlock()
	c := v.open[p.callID]
	switch {
	case p.kind == pieceCancel && c != nil && c.begun:
		c.cancel()
		return []byte{receiptHeard}
	case c != nil && (c.begun || p.kind == pieceAsk):
		return []byte{receiptHeard}
	case p.kind != pieceCall:
		return []byte{receiptUnknown}
	case v.ended.has(p.callID):
		return []byte{receiptHeard}
	case v.over || v.s.serving() == nil:
		return []byte{receiptMoved}
	case v.bytes > mostBytes:
		v.forget()
		return []byte{receiptBusy}
	}
	if c == nil {
		c = &incoming{}
		v.open[p.callID] = c
	}
	before := c.size
	whole := c.add(p)
	c.at = time.Now()
	if v.bytes += c.size - before; whole {
		var ctx context.Context
		ctx, c.cancel = context.WithCancel(v.ctx)
		c.begun = true
		v.wg.Go(func() { v.do(ctx, p.callID, c) })
	}
	return []byte{receiptHeard}
}

// forget lets go of calls that stopped coming in; mu is held.
func (v *served) forget() {
	for id, c := range v.open {
		if !c.begun && time.Since(c.at) > deliverFor {
			v.bytes -= c.size
			delete(v.open, id)
		}
	}
}

// do does a call and has its answer heard.
func (v *served) do(ctx context.Context, id callID, c *incoming) {
	defer c.cancel()
	data, undo := v.s.serve(ctx, c.join())
	if v.unheard(id, data) && undo != nil {
		undo()
	}
	v.ended.add(id)
	v.mu.Lock()
	defer v.mu.Unlock()
	v.bytes -= c.size
	delete(v.open, id)
}

// unheard sends an answer, and tells whether its caller surely does not have it: a gateway may have
// taken it, passed it on, and gone before its receipt was here.
func (v *served) unheard(id callID, data []byte) bool {
	maybe := false
	pieces := cutPieces(pieceAnswer, id, data, v.s.ground.Bus.MaxMessage())
	for began := time.Now(); len(pieces) > 0; {
		reply, err := v.s.calls.request(id.from, &pieces[0])
		switch {
		case err == nil && reply == receiptHeard:
			pieces = pieces[1:]
			continue
		case err == nil && reply != receiptBusy:
			return true
		case errors.Is(err, ErrNobody):
			return !maybe
		}
		if maybe = maybe || err != nil && len(pieces) == 1; time.Since(began) > deliverFor {
			return !maybe
		}
		select {
		case <-time.After(busyPause):
		case <-v.ctx.Done():
			if v.s.atOnce.Load() || time.Since(began) > 2*tryFor {
				return !maybe
			}
			time.Sleep(busyPause)
		}
	}
	return false
}
