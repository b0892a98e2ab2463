package manager

import (
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/door/manager/pickle"
	"github.com/glassq/glassq/internal/rights"
)

// A program under glassq py goes on when its connection broke, as at a restart of the server. What
// a new connection does not know, such a client says beside the arguments of a call, so that a call
// may be repeated:
//
//	put(…, glassq={'id': TEXT})              a second put with this id stores nothing
//	get(…, glassq={'asks': True})            the reply is (value, receipt)
//	any method(…, glassq={'of': receipt})    the item that the client got last, and has not confirmed
//	hold(glassq={'of': receipt})             it has the item; False when that is somebody else's by now
//
// Until hold, the lease of such an item is a short one: where the reply to a get was lost in a
// crash, the item is soon back. A receipt is (token, results queue, run), texts that a client gives
// back as they are.
const (
	asideName   = "glassq"
	receiptTime = 2 * time.Second
)

// An aside is what a call says so.
type aside struct {
	id   string
	asks bool
	of   *glassq.Lease // with its number, queue, results queue and run; nil for none
}

// aside takes it out of the keywords.
func (r *request) aside() (a aside, e *exception) {
	var rest, said *pickle.Value
	for i := 0; i < len(r.kwds.Items); i += 2 {
		if string(r.kwds.Items[i].Raw) == asideName {
			said = r.kwds.Items[i+1]
			rest = &pickle.Value{Kind: pickle.Dict, Items: append(r.kwds.Items[:i:i], r.kwds.Items[i+2:]...)}
			break
		}
	}
	if said == nil {
		return a, nil
	}
	r.kwds = rest
	if id := said.Member("id"); id != nil && isText(id) {
		a.id = string(id.Raw)
	}
	asks := said.Member("asks")
	a.asks = asks != nil && asks.True()
	if of := said.Member("of"); of != nil {
		if a.of = leaseOf(of); a.of == nil {
			return a, &exception{"ValueError", "the receipt of an item is not as a get has given it"}
		}
	}
	return a, nil
}

// leaseOf reads a receipt; nil is none.
func leaseOf(v *pickle.Value) *glassq.Lease {
	if v.Kind != pickle.Tuple || len(v.Items) != 3 {
		return nil
	}
	for _, text := range v.Items {
		if !isText(text) {
			return nil
		}
	}
	token, err := glassq.ParseToken(string(v.Items[0].Raw))
	if err != nil {
		return nil
	}
	l := &glassq.Lease{Number: token.Number}
	l.Queue, l.ResultQueue, l.Run = token.Queue, string(v.Items[1].Raw), string(v.Items[2].Raw)
	return l
}

// appendReceipt appends that of a lease.
func appendReceipt(b []byte, l *glassq.Lease) []byte {
	return appendList(b, []string{l.Token().String(), l.ResultQueue, l.Run})
}

// resume has the connection hold what its client got on an earlier one, if the lease lives.
func (c *conn) resume(l *glassq.Lease, id string) error {
	c.late = nil
	if l == nil || c.has(l.Number) {
		return nil
	}
	live, err := c.extend(l)
	if err == nil && live {
		c.takeLease(l, id, true)
	} else {
		c.late = l
	}
	return err
}

// has tells whether the client has the item of a lease on this connection.
func (c *conn) has(number uint64) bool {
	if c.held != nil && c.held.Number == number {
		return true
	}
	for i := range c.undone {
		if c.undone[i].Number == number {
			return true
		}
	}
	return false
}

// hold answers a client that says that it has an item.
func (c *conn) hold(l *glassq.Lease) error {
	live := l != nil && c.has(l.Number)
	if live {
		var err error
		if live, err = c.extend(l); err != nil {
			return c.fault(err)
		}
		if live {
			c.s.hall.Kept.Keep(l.Token())
		} else {
			c.letGo(l.Token())
		}
	}
	return c.reply(appendBool(live))
}

// extend makes a lease as long as those of others, and tells whether it lives.
func (c *conn) extend(l *glassq.Lease) (live bool, err error) {
	if err := c.store.May(c.ctx, rights.VerbExtend, l.Queue); err != nil {
		return false, err
	}
	errs, err := c.store.Extend(c.ctx, []glassq.Extend{{Token: l.Token(), Lease: leaseLength}})
	return err == nil && errs[0] == nil, err
}
