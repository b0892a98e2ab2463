package state

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"strings"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/template"
)

// Op is the first byte of a record.
type op byte

// The records of a log. A frame holds any number of them, back to back.
const (
	opTime    op = 1 + iota // ms since the record before: time went on
	opPut                   // a task, or a result
	opLease                 // number, task, length in ms: a hand-out
	opAck                   // number, outcome, whether a result follows
	opNack                  // number, kind, delay in ms, reason
	opExtend                // number, length in ms
	opTake                  // task: handed out and acked at once
	opNumbers               // lease numbers below this may be used
	opQueue                 // queue, settings
	opPurge                 // queue, bits of states
	opRedrive               // queue, how many; in logs from before opRedriveSome
	opDrop                  // queue
	opRun                   // run, change
	opCancel                // run
	opMove                  // task, when it was put, its put: its body lies here now
	opGiveUp                // queue, run, count, next: this much of a schedule is not made good
	opClock                 // how far the wall clock is ahead, in ms, zigzag

	opRunDrop     op = 18 // run
	opRedriveSome op = 19 // redrive or purge, queue, intervals of dead tasks
	opHold        op = 20 // queue, key, length in ms, why: the key is held; a length of 0 ends that, and a halt
	opKeyCost     op = 21 // number, cost: what the task of a lease really cost
	opHook        op = 22 // run, kind, text, put: put when the run ends
	opRunEnd      op = 23 // run, count: the run has come to this end; the put of its hook comes right after it
	opSchedule    op = 24 // schedule, settings, put, moment: from that on; without settings it is forgotten
	opDue         op = 25 // schedule, moment, tasks, missed: done with up to that; the puts come right after it
	opProgress    op = 26 // kind, see progress.go: what a worker said of its task
	opHalt        op = 27 // queue: its halt has ended, or those of its keys
	opGap         op = 30 // ms in which nobody could reach the log
)

const (
	nackDelay byte = iota
	nackDead
	nackUndone
	nackPutOff // undone, and ready again after the delay
)

// ErrRecord is wrapped by every complaint about a record that does not decode.
var ErrRecord = errors.New("record does not decode")

func recordErr(what string) error { return fmt.Errorf("%s: %w", what, ErrRecord) }

// ErrNewer is wrapped by complaints about what is whole, and what no program up to this one writes.
var ErrNewer = errors.New("a newer program wrote it")

func newerErr(what string) error { return fmt.Errorf("%s: %w", what, ErrNewer) }

// Members of a put that are there only when their bit is set.
const (
	putDense = 1 << iota
	putID
	putType
	putDelay
	putTTL
	putKey
	putFlags
	putHeaders
	putExtra
	putOf
	putCost

	putRange = 1 << 12
	putKnown = putCost<<1 - 1 | putRange
)

// AppendPut appends the record of t. The caller has checked t against the limits.
func AppendPut(dst []byte, t *glassq.Task) []byte {
	// Length first, in four bytes, so that it can be filled in at the end.
	dst = append(dst, byte(opPut), 0, 0, 0, 0)
	start := len(dst)
	// The class: everything that tasks of one dispatch share.
	dst = append(dst, 0, 0)
	dst = appendString(dst, t.Queue)
	dst = appendString(dst, t.Run)
	dst = appendString(dst, t.ResultQueue)
	dst = append(dst, byte(t.Priority.Level()))
	dst = binary.AppendUvarint(dst, uint64(t.Attempts))
	dst = binary.AppendUvarint(dst, uint64(t.Lease.Milliseconds()))
	binary.LittleEndian.PutUint16(dst[start:], uint16(len(dst)-start-2))

	var bits uint64
	set := func(is bool, bit uint64) {
		if is {
			bits |= bit
		}
	}
	set(t.Dense, putDense)
	set(t.ID != "", putID)
	set(t.Type != "", putType)
	set(t.Delay > 0, putDelay)
	set(t.TTL > 0, putTTL)
	set(t.Key != "", putKey)
	set(t.Flags != 0, putFlags)
	set(len(t.Headers) > 0, putHeaders)
	set(len(t.Extra) > 0, putExtra)
	set(t.OfAttempt > 0, putOf)
	set(t.Cost > 1, putCost)
	set(t.Range != nil, putRange)
	dst = binary.AppendUvarint(dst, bits)
	if t.Dense {
		dst = binary.AppendUvarint(dst, uint64(t.Position))
	}
	if t.Range != nil {
		dst = binary.AppendUvarint(dst, t.Range.Count)
	}
	if t.OfAttempt > 0 {
		dst = binary.AppendUvarint(dst, uint64(t.OfAttempt))
	}
	if t.Delay > 0 {
		dst = binary.AppendUvarint(dst, ceilMS(t.Delay))
	}
	if t.TTL > 0 {
		dst = binary.AppendUvarint(dst, ceilMS(t.TTL))
	}
	if t.Flags != 0 {
		dst = binary.AppendUvarint(dst, uint64(t.Flags))
	}
	if t.Cost > 1 {
		dst = binary.AppendUvarint(dst, uint64(t.Cost))
	}
	if t.ID != "" {
		dst = appendString(dst, t.ID)
	}
	if t.Type != "" {
		switch t.Type {
		case glassq.TypeText:
			dst = append(dst, 0, 1)
		case glassq.TypeJSON:
			dst = append(dst, 0, 2)
		default:
			dst = appendString(dst, t.Type)
		}
	}
	if t.Key != "" {
		dst = appendString(dst, t.Key)
	}
	if len(t.Headers) > 0 {
		dst = binary.AppendUvarint(dst, uint64(len(t.Headers)))
		for k, v := range t.Headers {
			dst = appendString(dst, k)
			dst = appendString(dst, v)
		}
	}
	if len(t.Extra) > 0 {
		dst = binary.AppendUvarint(dst, uint64(len(t.Extra)))
		dst = append(dst, t.Extra...)
	}
	if t.Range != nil {
		made := template.Parse(t.Body)
		dst = made.AppendRecord(dst, t.Range.Add)
	} else {
		dst = append(dst, t.Body...)
	}
	binary.LittleEndian.PutUint32(dst[start-4:], uint32(len(dst)-start))
	return dst
}

// Size is what t counts in its queue's bytes: its body and what is carried with it (type, key,
// headers and unknown members), as they lie in its record.
func Size(t *glassq.Task) int64 {
	str := func(n int) int { return (bits.Len(uint(n)|1)+6)/7 + n }
	n := len(t.Body)
	if t.Range != nil {
		made := template.Parse(t.Body)
		n = len(made.AppendRecord(nil, t.Range.Add))
	}
	switch t.Type {
	case "":
	case glassq.TypeText, glassq.TypeJSON:
		n += 2
	default:
		n += str(len(t.Type))
	}
	if t.Key != "" {
		n += str(len(t.Key))
	}
	if k := len(t.Headers); k > 0 {
		n += str(k) - k
		for k, v := range t.Headers {
			n += str(len(k)) + str(len(v))
		}
	}
	if len(t.Extra) > 0 {
		n += str(len(t.Extra))
	}
	return int64(min(n, maxSize))
}

func ceilMS(d time.Duration) uint64 {
	return uint64((d + time.Millisecond - 1) / time.Millisecond)
}

func appendNums(dst []byte, vs ...uint64) []byte {
	for _, v := range vs {
		dst = binary.AppendUvarint(dst, v)
	}
	return dst
}

func appendString(dst []byte, s string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}

// A reader takes a record apart. After an error everything it returns is zero.
type reader struct {
	b     []byte
	bad   bool
	newer bool // it says something that this program does not know
}

// most reads a byte that is one of a closed set, up to most.
func (r *reader) most(most byte) byte {
	b := r.byte()
	r.newer = r.newer || b > most
	return b
}

// isPut checks that b, of the record, is a put.
func (r *reader) isPut(b []byte) {
	switch d, err := decodePut(b); {
	case errors.Is(err, ErrNewer):
		r.newer = true
	case err != nil || d.size != len(b):
		r.bad = true
	}
}

// err is why a record that was read is not to be applied.
func (r *reader) err(what string) error {
	switch {
	case r.bad:
		return recordErr(what)
	case r.newer:
		return newerErr(what)
	}
	return nil
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) bytes(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.bad, r.b = true, nil
		return nil
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

func (r *reader) byte() byte {
	if b := r.bytes(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) str() string { return string(r.bytes(r.uvarint())) }

// small reads a count or a length of time in ms, cut to what fits a time.Duration.
func (r *reader) small() uint64 { return min(r.uvarint(), 1<<42) }

// A put is an opPut record taken apart as far as the index needs it.
type put struct {
	class      []byte // the encoded class, aliases the record
	bits       uint64
	n          uint32
	count      uint64 // of a range; 0 for none
	of         int
	delay, ttl uint64 // ms
	flags      uint32
	cost       uint32 // 0 for the default
	id         []byte
	rest       []byte // type, key, headers, extra, body
	size       int    // bytes of the whole record
}

// decodePut takes apart the opPut record at the start of b.
func decodePut(b []byte) (p put, err error) {
	if len(b) < 7 || op(b[0]) != opPut {
		return p, recordErr("put")
	}
	size := uint64(binary.LittleEndian.Uint32(b[1:]))
	if size > uint64(len(b)-5) || size < 2 {
		return p, recordErr("put length")
	}
	p.size = int(size) + 5
	r := reader{b: b[5:p.size]}
	p.class = r.bytes(uint64(binary.LittleEndian.Uint16(r.bytes(2))))
	if p.bits = r.uvarint(); !r.bad && p.bits&^putKnown != 0 {
		return p, newerErr("put")
	}
	if p.bits&putDense != 0 {
		n := r.uvarint()
		r.bad = r.bad || n > math.MaxUint32
		p.n = uint32(n)
	}
	if p.bits&putRange != 0 {
		p.count = r.uvarint()
		r.bad = r.bad || p.bits&putDense == 0 || p.bits&(putOf|putID) != 0 || p.count == 0 ||
			p.count > glassq.MaxPositions-uint64(p.n)
	}
	if p.bits&putOf != 0 {
		p.of = int(r.small() & 0xffff)
	}
	if p.bits&putDelay != 0 {
		p.delay = r.small()
	}
	if p.bits&putTTL != 0 {
		p.ttl = r.small()
	}
	if p.bits&putFlags != 0 {
		p.flags = uint32(r.uvarint())
	}
	if p.bits&putCost != 0 {
		cost := r.uvarint()
		r.bad = r.bad || cost > math.MaxUint32
		p.cost = uint32(cost)
	}
	if p.bits&putID != 0 {
		p.id = r.bytes(r.uvarint())
	}
	p.rest = r.b
	if r.bad {
		return p, recordErr("put")
	}
	return p, nil
}

// key returns the key of a put that has one.
func (p *put) key() (key []byte, ok bool) {
	r := reader{b: p.rest}
	if p.bits&putType != 0 {
		if n := r.uvarint(); n == 0 {
			r.byte() // one of the types that the doors give
		} else {
			r.bytes(n)
		}
	}
	key = r.bytes(r.uvarint())
	return key, !r.bad
}

// A Decoder reads tasks from their records. What tasks of one dispatch share is decoded once for
// those that follow each other. Its zero value is ready. It is not copied once it is in use.
type Decoder struct {
	class   []byte          // encoded
	shared  glassq.Task     // what it says
	made    []byte          // bodies of positions of ranges
	ranged  *byte           // the first byte of the last range's record
	last    glassq.Task     // that range, with its template as the Body
	lastPut int64           // when it was put
	text    strings.Builder // keys and ids, side by side
}

// Task reads the task of the put or the move at the start of rec into t, or the range that it was
// put as. Its Body and Extra alias rec. A move says when the task was put, in ms; otherwise put is
// 0, and the time of the frame is that of the put.
func (d *Decoder) Task(t *glassq.Task, rec []byte) (put int64, err error) {
	rec, put, err = unwrap(rec)
	if err == nil {
		err = d.put(t, rec)
	}
	if err != nil || t.Range == nil {
		return put, err
	}
	made, add, ok := template.Read(t.Body)
	if t.Range.Add = add; !ok {
		return put, recordErr("template of a range")
	}
	t.Body = made.AppendText(nil)
	return put, nil
}

// Position is Task, and of a range the task at a position. Its Body lies in memory of d, which
// leaves it alone. rec must not change while d is in use: positions of one range often follow each
// other, and share what was read.
func (d *Decoder) Position(t *glassq.Task, rec []byte, position uint32) (put int64, err error) {
	if len(rec) > 0 && &rec[0] == d.ranged {
		*t, put = d.last, d.lastPut
	} else {
		body, at, err := unwrap(rec)
		if err == nil {
			err = d.put(t, body)
		}
		if put = at; err != nil || t.Range == nil {
			return put, err
		}
		if d.ranged = nil; t.Headers == nil { // which would be one map for all
			d.ranged, d.last, d.lastPut = &rec[0], *t, put
		}
	}
	start := len(d.made)
	made, ok := template.AppendBody(d.made, t.Body, position)
	if !ok {
		return put, recordErr("template of a range")
	}
	d.made = made
	t.Body, t.Position, t.Range = made[start:len(made):len(made)], position, nil
	return put, nil
}

// use makes class the one of which shared is.
func (d *Decoder) use(class []byte) error {
	if len(d.class) > 0 && bytes.Equal(d.class, class) {
		return nil
	}
	d.class = d.class[:0]
	c := reader{b: class}
	t := glassq.Task{Queue: c.str(), Run: c.str(), ResultQueue: c.str()}
	level := c.byte()
	t.Priority = glassq.Level(int(level))
	t.Attempts = int(c.small())
	t.Lease = time.Duration(c.small()) * time.Millisecond
	if c.bad || len(c.b) > 0 || level > 9 {
		return recordErr("put")
	}
	d.class, d.shared = append(d.class, class...), t
	return nil
}

func (d *Decoder) put(t *glassq.Task, rec []byte) error {
	p, err := decodePut(rec)
	if err == nil {
		err = d.use(p.class)
	}
	if err != nil {
		return err
	}
	*t = d.shared
	return d.unpack(t, &p)
}

// string makes a string of b beside those made before: one by one they would be an allocation for
// each task.
func (d *Decoder) string(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	if n := d.text.Cap(); n-d.text.Len() < len(b) {
		d.text = strings.Builder{}
		d.text.Grow(max(len(b), min(2*n, 4<<10)))
	}
	start := d.text.Len()
	d.text.Write(b)
	return d.text.String()[start:]
}

// unpack reads what of a put is not its class into t. The Body of a range is its template as it
// stands in the record.
func (d *Decoder) unpack(t *glassq.Task, p *put) error {
	r := reader{b: p.rest}
	if p.count > 0 {
		t.Range = &glassq.Range{Count: p.count}
	}
	t.ID, t.Position, t.Dense, t.OfAttempt, t.Flags = d.string(p.id), p.n, p.bits&putDense != 0, p.of, p.flags
	t.Cost = p.cost
	t.Delay = time.Duration(p.delay) * time.Millisecond
	t.TTL = time.Duration(p.ttl) * time.Millisecond
	if p.bits&putType != 0 {
		if n := r.uvarint(); n == 0 {
			switch r.byte() {
			case 1:
				t.Type = glassq.TypeText
			case 2:
				t.Type = glassq.TypeJSON
			default:
				r.bad = true
			}
		} else {
			t.Type = string(r.bytes(n))
		}
	}
	if p.bits&putKey != 0 {
		t.Key = d.string(r.bytes(r.uvarint()))
	}
	if p.bits&putHeaders != 0 {
		n := r.uvarint()
		if n > uint64(len(r.b)) {
			return recordErr("put headers")
		}
		t.Headers = make(map[string]string, n)
		for range n {
			k := r.str()
			t.Headers[k] = r.str()
		}
	}
	if p.bits&putExtra != 0 {
		t.Extra = r.bytes(r.uvarint())
	}
	t.Body = r.b
	if r.bad {
		return recordErr("put")
	}
	return nil
}

// AppendTime appends the record that time went on by delta ms.
func AppendTime(dst []byte, delta int64) []byte {
	return binary.AppendUvarint(append(dst, byte(opTime)), uint64(delta))
}

// AppendLease appends a hand-out of task n under a lease number, for length ms.
func AppendLease(dst []byte, number, n uint64, length int64) []byte {
	dst = binary.AppendUvarint(append(dst, byte(opLease)), number)
	dst = binary.AppendUvarint(dst, n)
	return binary.AppendUvarint(dst, uint64(length))
}

// AppendAck appends the end of a lease; the puts of its result and follow-ups come right after it.
func AppendAck(dst []byte, number uint64, outcome glassq.Outcome, result bool) []byte {
	dst = binary.AppendUvarint(append(dst, byte(opAck)), number)
	b := byte(outcome)
	if result {
		b |= 0x80
	}
	return append(dst, b)
}

// AppendNack appends the end of a lease without the work done, ready again after delay ms.
func AppendNack(dst []byte, number uint64, nack *glassq.Nack, delay int64) []byte {
	kind := nackDelay
	switch {
	case nack.Undone && delay > 0:
		kind = nackPutOff
	case nack.Undone:
		kind = nackUndone
	case nack.Dead:
		kind = nackDead
	}
	dst = binary.AppendUvarint(append(dst, byte(opNack)), number)
	dst = binary.AppendUvarint(append(dst, kind), uint64(delay))
	return appendString(dst, nack.Reason)
}

// AppendExtend appends that a lease lasts length ms from now.
func AppendExtend(dst []byte, number uint64, length int64) []byte {
	dst = binary.AppendUvarint(append(dst, byte(opExtend)), number)
	return binary.AppendUvarint(dst, uint64(length))
}

// AppendTake appends that task n was handed out and acked at once.
func AppendTake(dst []byte, n uint64) []byte {
	return binary.AppendUvarint(append(dst, byte(opTake)), n)
}

// AppendNumbers appends that lease numbers below limit may be used once this is durable.
func AppendNumbers(dst []byte, limit uint64) []byte {
	return binary.AppendUvarint(append(dst, byte(opNumbers)), limit)
}

// AppendQueue appends the settings of a queue.
func AppendQueue(dst []byte, queue string, s glassq.Settings) []byte {
	return appendJSON(dst, opQueue, queue, s)
}

// AppendRun appends a change of a run, as decided by CheckRun.
func AppendRun(dst []byte, run string, c glassq.RunChange) []byte {
	return appendJSON(dst, opRun, run, c)
}

func appendJSON(dst []byte, o op, name string, v any) []byte {
	js, err := json.Marshal(v)
	if err != nil {
		panic("state: " + err.Error()) // plain structs of numbers and strings
	}
	dst = appendString(append(dst, byte(o)), name)
	dst = binary.AppendUvarint(dst, uint64(len(js)))
	return append(dst, js...)
}

// AppendPurge appends the purge of the tasks of queue in some states.
func AppendPurge(dst []byte, queue string, states ...glassq.State) []byte {
	var bits byte
	for _, s := range states {
		bits |= 1 << s
	}
	return append(appendString(append(dst, byte(opPurge)), queue), bits)
}

// AppendDrop appends that queue is forgotten.
func AppendDrop(dst []byte, queue string) []byte {
	return appendString(append(dst, byte(opDrop)), queue)
}

// AppendClock appends how far, in ms, the wall clock is ahead of the time of the log.
func AppendClock(dst []byte, ahead int64) []byte {
	return binary.AppendUvarint(append(dst, byte(opClock)), zigzag(ahead))
}

// AppendCancel appends that a run is cancelled.
func AppendCancel(dst []byte, run string) []byte {
	return appendString(append(dst, byte(opCancel)), run)
}

// AppendRunDrop appends that a run is forgotten.
func AppendRunDrop(dst []byte, run string) []byte {
	return appendString(append(dst, byte(opRunDrop)), run)
}

// AppendGiveUp appends that a queue goes on behind what its pace gives up. run is that of the task
// which is next.
func AppendGiveUp(dst []byte, queue, run string, up GivenUp) []byte {
	dst = appendString(appendString(append(dst, byte(opGiveUp)), queue), run)
	return binary.AppendUvarint(binary.AppendUvarint(dst, up.Count), math.Float64bits(up.next))
}
