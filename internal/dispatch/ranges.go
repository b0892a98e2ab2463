package dispatch

import (
	"bytes"
	"context"
	"fmt"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/template"
)

// asRange returns all tasks of c as one range. ok is false when no template makes their bodies: some
// are too large, or a literal of theirs would be taken for a number.
func (c *counter) asRange() (t glassq.Task, ok bool) {
	if c.count == 0 {
		return t, false
	}
	last := c.first + c.count - 1
	text, err := c.make.append(nil, &record{symbol: true})
	if err != nil {
		return t, false
	}
	made := template.Parse(text)
	numbers := 0
	for _, of := range c.make.templates() {
		if of != nil {
			numbers += of.numbers()
		}
	}
	if made.Numbers() != numbers {
		return t, false
	}
	for _, n := range []uint64{c.first, last, c.first + c.count/2} {
		want, err := c.make.append(nil, &record{number: n})
		if err != nil || !bytes.Equal(made.Append(nil, n), want) {
			return t, false
		}
	}
	t = glassq.Task{Body: text, Type: glassq.TypeText, Range: &glassq.Range{Count: c.count, Add: c.first}}
	if c.make.req != nil {
		t.Type = glassq.TypeJSON
	}
	return t, true
}

// oneKey is the key of all tasks of c; ok is false when they differ.
func (c *counter) oneKey() (key string, ok bool) {
	for i, n := range []uint64{c.first, c.first + c.count - 1} { // a number is never the same in both
		r := record{number: n}
		body, err := c.make.append(nil, &r)
		if err != nil {
			return "", false
		}
		t := glassq.Task{Body: body}
		if err := c.make.key(&t, &r); err != nil || i > 0 && t.Key != key {
			return "", false
		}
		key = t.Key
	}
	return key, true
}

// numbers is how many numbers the template has.
func (t *Template) numbers() (n int) {
	for i := range t.parts {
		if t.parts[i].kind == partNumber {
			n++
		}
	}
	return n
}

// putRanges puts the tasks of a source of numbers as a range, unless only some of them are wanted:
// those mostly lie apart. whole is false when some are left, which are to be put one by one: the
// source goes on behind those that were put.
func (d *dispatch) putRanges(ctx context.Context) (whole bool, err error) {
	src, ok := d.opt.Source.(*counter)
	if !ok || d.opt.Single || d.opt.Only != nil {
		return false, nil
	}
	all, ok := src.asRange()
	if !ok {
		return false, nil
	}
	if all.Key, ok = src.oneKey(); !ok {
		if d.opt.Notify != nil {
			d.opt.Notify("the key is not the same for all tasks, so they are put one by one")
		}
		return false, nil
	}
	if err := d.dress(&all, 0); err != nil {
		return false, err
	}
	left, err := d.putRange(ctx, all)
	src.skip(d.read)
	return !left, err
}

// putRange puts the positions of t, in smaller ranges where the queue has no room for all, and waits
// while it has none. left tells that the queue does not take what is left as a range.
func (d *dispatch) putRange(ctx context.Context, t glassq.Task) (left bool, err error) {
	some, wait := t.Range.Count, firstWait
	for t.Range.Count > 0 {
		some = min(some, t.Range.Count)
		part := t
		part.Range = &glassq.Range{Count: some, Add: t.Range.Add}
		receipts, err := d.q.Put(ctx, []glassq.Task{part})
		switch code := glassq.CodeOf(err); {
		case err == nil:
			d.put.Add(receipts[0].Put)
			d.skipped.Add(some - receipts[0].Put)
			d.taken += some
			d.read += some
			d.progress()
			t.Position += uint32(some)
			t.Range = &glassq.Range{Count: t.Range.Count - some, Add: t.Range.Add}
			some *= 2
			wait = firstWait
		case code == glassq.CodeQuota && glassq.RetryAfter(err) > 0:
			d.say("waiting for the rate of the token: %v (%d put so far)", err, d.put.Load())
			if err := sleep(ctx, glassq.RetryAfter(err)); err != nil {
				return false, err
			}
		case code == glassq.CodeUnsupported || forGood(code):
			if d.opt.Notify != nil {
				d.opt.Notify(fmt.Sprintf("the queue does not take the tasks as a range, so they are put one by one: %v", err))
			}
			return true, nil
		case !full(code):
			return false, fmt.Errorf("put a range of %d tasks: %w", some, err)
		case some > 1:
			some /= 2
		default:
			d.say("waiting for room: %v (%d put so far)", err, d.put.Load())
			if err := sleep(ctx, wait); err != nil {
				return false, err
			}
			wait = min(2*wait, longWait)
		}
	}
	return false, nil
}
