package memcache

import (
	"bytes"
	"cmp"
	"io"
	"math"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/door"
	"github.com/glassq/glassq/internal/rights"
)

const (
	batchTasks = 4096 // tasks or acks after which a batch is handed on though input is left
	unitTasks  = 16   // capacity for tasks that is not worth giving back
)

// A put is one storage command among the pending ones: tasks[first:end].
type put struct {
	first, end int
	add, quiet bool
	meta       *metaPut // of a meta command; nil for the others
}

// A metaPut has the answers to a put of a meta command.
type metaPut struct{ done, not string }

// An ending is one command that ends a lease, among the pending ones.
type ending struct {
	done, lost, full string // the answers; full only where that is not notStored
	quiet            bool
}

// do does a command whose body has been read. The error ends the connection.
func (c *conn) do(body []byte) error {
	cmd := &c.cmd
	if c.locked {
		return c.login(body)
	}
	if err := c.who.Over(); err != nil {
		return c.cut(oneLine(err))
	}
	if cmd.fault != "" {
		c.settlePending()
		c.clientError(cmd.fault)
		return nil
	}
	switch cmd.verb {
	case verbSet, verbAdd, verbCas:
		c.storeAny(body)
		return nil
	case verbDelete:
		return c.remove()
	case verbMeta:
		return c.doMeta(body)
	}
	c.settlePending()
	switch cmd.verb {
	case verbGet, verbGets:
		return c.get(cmd.rest, cmd.verb == verbGets, 0)
	case verbGat, verbGats:
		return c.get(cmd.rest, cmd.verb == verbGats, seconds(max(cmd.exptime, 0)))
	case verbChange:
		c.answerFailure(cmd.quiet, notStored)
	case verbCount:
		c.answerFailure(cmd.quiet, notFound)
	case verbTouch:
		c.touch()
	case verbFlush:
		c.purge()
	case verbFlushAll:
		c.purgeAll()
	case verbStats:
		c.stats(cmd.rest)
	case verbVersion:
		c.say("VERSION " + version + "\r\n")
	case verbVerbosity:
		c.answer(cmd.quiet, okay)
	case verbQuit:
		return io.EOF
	default:
		c.answerFailure(cmd.quiet, badVerb)
	}
	return nil
}

// refuse answers a command that is not to be done.
func (c *conn) refuse(fault string) {
	c.settlePending()
	c.clientError(fault)
}

// parse reads a key and checks the name in it.
func (c *conn) parse(key []byte, may option, t *target) (fault string) {
	fault = parseKey(key, may, t)
	if c.name(t.queue) == "" {
		return badName
	}
	return fault
}

// name notes a queue as the last one and returns its name, "" for what cannot be one.
func (c *conn) name(queue []byte) string {
	if c.queue == "" || string(queue) != c.queue {
		name := string(queue)
		if glassq.CheckName(name) != nil {
			return ""
		}
		c.queue = name
	}
	return c.queue
}

// storeAny is set, add and cas.
func (c *conn) storeAny(body []byte) {
	if c.cmd.verb != verbCas {
		c.store(body)
		return
	}
	c.n.sets++
	var t target
	if fault := c.parse(c.cmd.key, optsResult, &t); fault != "" {
		c.refuse(fault)
		return
	}
	c.result(&t, c.cmd.lease, body, c.word(notFound, "NF"))
}

// store is set and add.
func (c *conn) store(body []byte) {
	cmd := &c.cmd
	c.n.sets++
	var t target
	may := optsSet
	if cmd.verb == verbAdd {
		may = optsPut
	}
	fault := c.parse(cmd.key, may, &t)
	switch {
	case fault != "":
		c.refuse(fault)
	case t.has&optNack != 0:
		c.nack(&t, body)
	case t.has&optLease != 0:
		c.refuse("unknown option " + printable(cmd.key[len(t.queue)+1:]))
	case t.has&optAck != 0:
		if t.has&^(optsResult|optAck) != 0 {
			c.refuse("a result takes no id, run or batch")
			return
		}
		c.result(&t, t.lease, body, c.word(notStored, "NS"))
	case t.has&optBatch != 0 && t.has&optID != 0:
		c.refuse("a batch takes no id")
	default:
		c.put(&t, body)
	}
}

// put adds to the pending puts. The task is made where it stays: a burst has thousands of them.
func (c *conn) put(t *target, body []byte) {
	d := c.desk
	if len(d.endings) > 0 || len(d.tasks) >= batchTasks || t.has&optBatch != 0 {
		c.settlePending()
	}
	first := len(d.tasks)
	d.tasks = append(d.tasks, glassq.Task{})
	task := &d.tasks[first]
	task.Queue, task.Body, task.Type, task.Flags = c.queue, body, t.contentType, c.cmd.flags
	task.Priority, task.Delay, task.Cost = t.prio, t.delay, t.cost
	if c.cmd.exptime != 0 {
		task.TTL = ttlOf(c.cmd.exptime, time.Now())
	}
	if t.has&(optID|optRun|optKey) != 0 {
		task.ID, task.Run, task.Key = string(t.id), string(t.run), string(t.tag)
	}
	if err := c.who.MayPutTask(task); err != nil {
		c.takeBack(first, err)
		return
	}
	if t.has&optBatch != 0 {
		c.split(first, body)
	}
	if err := c.who.Spend(d.tasks[first:]); err != nil {
		c.takeBack(first, err)
		return
	}
	p := put{first: first, end: len(d.tasks), add: c.cmd.verb == verbAdd, quiet: c.cmd.quiet}
	if c.cmd.does != verbNone {
		p.meta = &metaPut{done: c.word("", "HD"), not: c.word("", "NS")}
	}
	d.puts = append(d.puts, p)
}

// split makes of the task at first one for each line of body.
func (c *conn) split(first int, body []byte) {
	d := c.desk
	task := d.tasks[first]
	clear(d.tasks[first:])
	d.tasks = d.tasks[:first]
	for line := range bytes.Lines(body) {
		if line = bytes.TrimRight(line, "\r\n"); len(line) > 0 {
			task.Body = line
			d.tasks = append(d.tasks, task)
		}
		if len(d.tasks) > glassq.MaxBatch {
			return // refused as a whole
		}
	}
}

// takeBack takes the tasks from first on off the pending ones, and answers for err.
func (c *conn) takeBack(first int, err error) {
	d := c.desk
	clear(d.tasks[first:])
	d.tasks = d.tasks[:first]
	c.mayDo(err)
}

// result adds a result and the ack that it is for to the pending acks.
func (c *conn) result(t *target, lease uint64, body []byte, lost string) {
	task := &glassq.Task{
		Queue: c.queue, Body: body, Type: t.contentType, Flags: c.cmd.flags,
		Priority: t.prio, Delay: t.delay, Key: string(t.tag),
	}
	if c.cmd.exptime != 0 {
		task.TTL = ttlOf(c.cmd.exptime, time.Now())
	}
	c.ack(glassq.Ack{Token: glassq.Token{Number: lease}, Result: task},
		ending{done: c.word(stored, "HD"), lost: lost, full: c.word("", "NS"), quiet: c.cmd.quiet})
}

// ack adds to the pending acks.
func (c *conn) ack(a glassq.Ack, e ending) {
	d := c.desk
	if len(d.puts) > 0 || len(d.acks) >= batchTasks {
		c.settlePending()
	}
	if a.Token.Number == 0 || a.Token.Number > maxNumber {
		c.settlePending()
		c.answerFailure(e.quiet, e.lost)
		return
	}
	if !c.mayDo(c.who.MayAck(&a)) {
		return
	}
	d.acks = append(d.acks, a)
	d.endings = append(d.endings, e)
}

// nack gives a lease back: set q/<lease>/nack 0 <delay> 0.
func (c *conn) nack(t *target, body []byte) {
	c.settlePending()
	cmd := &c.cmd
	if t.has != optLease|optNack {
		c.clientError("nack goes with a lease number and nothing else")
		return
	}
	if !c.mayDo(c.who.May(rights.VerbNack, c.queue)) {
		return
	}
	n := glassq.Nack{Token: c.token(t.lease), Reason: string(body[:min(len(body), glassq.MaxReason)])}
	if cmd.exptime >= 0 {
		n.Delay = cmp.Or(seconds(cmd.exptime), glassq.AtOnce)
	}
	errs, err := c.s.broker.Nack(c.durable, []glassq.Nack{n})
	c.finish(first(errs, err), c.word(stored, "HD"), c.word(notStored, "NS"))
}

// touch moves the deadline of a lease.
func (c *conn) touch() {
	var t target
	if fault := c.parse(c.cmd.key, optLease, &t); fault != "" {
		c.clientError(fault)
		return
	}
	if t.has&optLease == 0 { // a queue itself has no time to live
		c.answerFailure(c.cmd.quiet, notFound)
		return
	}
	c.extend(t.lease, "")
}

// extend moves the deadline of a lease; lost is the meta code for a lost one.
func (c *conn) extend(lease uint64, lost string) {
	if c.cmd.exptime < 0 {
		c.clientError(badFormat)
		return
	}
	if !c.mayDo(c.who.May(rights.VerbExtend, c.queue)) {
		return
	}
	x := glassq.Extend{Token: c.token(lease), Lease: seconds(c.cmd.exptime)}
	errs, err := c.s.broker.Extend(c.durable, []glassq.Extend{x})
	c.finish(first(errs, err), c.word(touched, "HD"), c.word(notFound, lost))
}

// remove acks a lease, or drops a queue.
func (c *conn) remove() error {
	cmd := &c.cmd
	var t target
	if fault := c.parse(cmd.key, optLease, &t); fault != "" {
		c.refuse(fault)
		return nil
	}
	if t.has&optLease != 0 {
		c.ack(glassq.Ack{Token: c.token(t.lease)}, ending{done: c.word(deleted, "HD"),
			lost: c.word(notFound, "NF"), quiet: cmd.quiet})
		return nil
	}
	c.settlePending()
	err := c.operate().Drop(c.durable, c.queue)
	lost := c.word(notFound, "NF")
	if glassq.CodeOf(err) == glassq.CodeNotFound && err != nil {
		c.answerFailure(cmd.quiet, lost)
		return nil
	}
	c.finish(err, c.word(deleted, "HD"), lost)
	return nil
}

// purge is flush <queue>: END, as Kestrel, whether there is such a queue or not.
func (c *conn) purge() {
	var t target
	if fault := c.parse(c.cmd.key, 0, &t); fault != "" {
		c.clientError(fault)
		return
	}
	c.settlePending()
	_, err := c.operate().Purge(c.durable, c.queue)
	if err != nil && glassq.CodeOf(err) == glassq.CodeNotFound {
		err = nil
	}
	c.finish(err, endOf, notFound)
}

func (c *conn) purgeAll() {
	c.settlePending()
	_, err := c.operate().PurgeAll(c.durable)
	c.finish(err, okay, notFound)
}

// operate is the broker as the client may use it, whose actions are audited.
func (c *conn) operate() door.Store { return door.NewStore(c.s.broker, c.who, c.client()) }

// client is how the actions of the client are audited.
func (c *conn) client() door.Client {
	return door.Client{Frame: &c.s.frame, Door: "memcached", From: door.Peer(c.let.RemoteAddr())}
}

// mayDo answers a client that may not do something, for err.
func (c *conn) mayDo(err error) bool {
	if err != nil {
		c.settlePending()
		c.answerFailure(c.cmd.quiet, failure(err, notFound))
	}
	return err == nil
}

// finish answers a command that was done by itself.
func (c *conn) finish(err error, done, lost string) {
	if err != nil {
		c.answerFailure(c.cmd.quiet, failure(err, lost))
		return
	}
	c.answer(c.cmd.quiet, done)
}

// token names a lease together with its queue. No lease has number 0.
func (c *conn) token(number uint64) glassq.Token { return glassq.Token{Queue: c.queue, Number: number} }

func first(errs []error, err error) error {
	if err != nil {
		return err
	}
	return errs[0]
}

// seconds is n seconds; more than a Duration can be is the longest.
func seconds(n int64) time.Duration {
	if n > math.MaxInt64/int64(time.Second) {
		return math.MaxInt64
	}
	return time.Duration(n) * time.Second
}

// settlePending hands the pending puts or acks to the broker and answers them. Only one kind is
// pending at a time.
func (c *conn) settlePending() {
	d := c.desk
	if d == nil {
		return
	}
	if len(d.puts) > 0 {
		c.putAll(d.puts)
	}
	if len(d.endings) > 0 {
		errs, err := c.s.broker.Ack(c.durable, d.acks)
		c.answerAcks(errs, err)
	}
	d.clear()
}

// clear forgets what was pending.
func (d *desk) clear() {
	if len(d.tasks) > 0 {
		clear(d.tasks)
		if d.tasks = d.tasks[:0]; cap(d.tasks) > 2*batchTasks {
			d.tasks = nil
		}
	}
	d.puts = d.puts[:0]
	clear(d.acks)
	d.acks, d.endings = d.acks[:0], d.endings[:0]
}

// putAll puts the tasks of commands in one batch. A batch is stored as a whole or not at all; one
// that is refused is halved, until each command has its own answer.
func (c *conn) putAll(puts []put) {
	tasks := c.desk.tasks[puts[0].first:puts[len(puts)-1].end]
	receipts, err := c.s.broker.Put(c.durable, tasks)
	switch {
	case err == nil:
		c.answerPuts(puts, receipts)
	case len(puts) > 1 && refused(err):
		c.putAll(puts[:len(puts)/2])
		c.putAll(puts[len(puts)/2:])
	default:
		c.failPuts(puts, err)
	}
}

// failPuts answers puts of which none was stored, as far as err says.
func (c *conn) failPuts(puts []put, err error) {
	for _, p := range puts {
		c.who.Unspend(c.desk.tasks[p.first:p.end])
		text := failure(err, notStored)
		if p.meta != nil && text == notStored {
			text = p.meta.not
		}
		c.answerFailure(p.quiet, text)
	}
}

// answerPuts answers puts that were all stored; the receipts begin with that of the first one's
// task.
func (c *conn) answerPuts(puts []put, receipts []glassq.Receipt) {
	base := puts[0].first
	for _, p := range puts {
		if p.quiet {
			continue
		}
		done, not := stored, notStored
		if p.meta != nil {
			done, not = p.meta.done, p.meta.not
		}
		if p.add && p.end == p.first+1 && receipts[p.first-base].Duplicate {
			done = not
		}
		c.say(done)
	}
}

// refused tells whether a batch was not done for what is in it, so that a part of it may pass.
// After any other error it is not known what was done, or nothing else would be either, and nothing
// is repeated.
func refused(err error) bool {
	switch glassq.CodeOf(err) {
	case glassq.CodeBadRequest, glassq.CodeBadName, glassq.CodeTooLarge, glassq.CodeQueueFull, glassq.CodeStorageFull,
		glassq.CodeQuota, glassq.CodeRunConflict, glassq.CodeSchema, glassq.CodeUnsupported:
		return true
	}
	return false
}

// answerAcks answers the pending acks, with what the store said of each and of all.
func (c *conn) answerAcks(errs []error, err error) {
	for i, e := range c.desk.endings {
		why := err
		if err == nil {
			why = errs[i]
		}
		if why == nil {
			c.who.Owe(&c.desk.acks[i])
			c.answer(e.quiet, e.done)
			continue
		}
		text := failure(why, e.lost)
		if text == notStored && e.full != "" {
			text = e.full
		}
		c.answerFailure(e.quiet, text)
	}
}
