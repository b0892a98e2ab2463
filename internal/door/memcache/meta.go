package memcache

import (
	"bytes"
	"encoding/base64"
	"math"
	"strconv"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/rights"
)

// maxOpaque is the longest token that a meta command may want back, in bytes.
const maxOpaque = 32

// Which flags a meta command takes. The other flags of memcached are about a cache: they are
// refused, not passed over.
var metaFlags = map[byte]string{
	'g': "bkOqvcfstT",
	's': "bkOqcCFMT",
	'd': "bkOqC",
	'a': "bkOqvctCDEJMNT",
}

// metaCommand reads what follows m and its letter: <key> [<bytes>] <flag>…. The flags stay in
// c.rest.
func (c *command) metaCommand(letter byte) {
	c.verb, c.quiet = verbMeta, false
	if letter == 'n' {
		c.does = verbMetaNoop
		return
	}
	c.key, c.rest = token(c.rest)
	switch {
	case len(c.key) == 0 && letter == 'e':
		c.fault = badFormat
	case len(c.key) == 0:
		c.verb = verbNone
		return
	}
	switch letter {
	case 'g':
		c.does = verbMetaGet
	case 'd':
		c.does = verbDelete
	case 'a':
		c.does = verbCount
	case 'e':
		c.does = verbMetaDebug
		return
	case 's':
		var size []byte
		size, c.rest = token(c.rest)
		if c.length(size); c.cut {
			return
		}
		c.does = verbSet
	}
	var seen [256]bool
	for rest := c.rest; c.fault == ""; {
		var flag []byte
		if flag, rest = token(rest); len(flag) == 0 {
			return
		}
		switch {
		case bytes.IndexByte([]byte(metaFlags[letter]), flag[0]) < 0:
			c.fault = "invalid flag"
		case seen[flag[0]]:
			c.fault = "duplicate flag"
		case letter != 'a':
			c.metaFlag(flag[0], flag[1:])
		}
		seen[flag[0]] = true
	}
}

// metaFlag reads one flag.
func (c *command) metaFlag(flag byte, value []byte) {
	ok := true
	switch flag {
	case 'q':
		c.terse = true
	case 'O':
		if len(value) > maxOpaque {
			c.fault = "opaque token too long"
		}
	case 'T':
		c.exptime, ok = signed(value)
	case 'F':
		var n uint64
		n, ok = number(value)
		ok = ok && n <= math.MaxUint32
		c.flags = uint32(n)
	case 'C':
		c.lease, ok = number(value)
		switch c.does {
		case verbSet:
			c.does = verbCas
		case verbDelete:
			c.does = verbMetaAck
		default:
			c.fault = "C goes with mode S"
		}
	case 'M':
		if len(value) != 1 {
			c.fault = "incorrect length for M token"
			return
		}
		does := verbNone
		switch value[0] {
		case 'S':
			does = c.does
		case 'E':
			does = verbAdd
		case 'A', 'P', 'R':
			does = verbChange
		default:
			c.fault = "invalid mode for ms M token"
		}
		if c.does == verbCas && does != verbCas {
			c.fault = "C goes with mode S"
		}
		c.does = does
	}
	if !ok {
		c.fault = "bad token in command line format"
	}
}

// has tells whether a meta command has a flag.
func (c *command) has(flag byte) bool {
	for rest := c.rest; ; {
		var word []byte
		if word, rest = token(rest); len(word) == 0 || word[0] == flag {
			return len(word) > 0
		}
	}
}

// doMeta does a meta command by the verb that it stands for, whose answers are in its words.
func (c *conn) doMeta(body []byte) error {
	cmd := &c.cmd
	if cmd.does != verbMetaNoop && cmd.has('b') {
		key := make([]byte, base64.StdEncoding.DecodedLen(len(cmd.key)))
		n, err := base64.StdEncoding.Decode(key, cmd.key)
		if err != nil {
			c.refuse("error decoding key")
			return nil
		}
		cmd.key = key[:n]
	}
	switch cmd.does {
	case verbSet, verbAdd, verbCas:
		cmd.verb = cmd.does
		c.storeAny(body)
		return nil
	case verbDelete:
		return c.remove()
	case verbMetaAck:
		c.metaAck()
		return nil
	}
	c.settlePending()
	switch cmd.does {
	case verbMetaGet:
		return c.metaGet()
	case verbChange:
		c.say(c.word("", "NS"))
	case verbCount:
		c.say(c.word("", "NF"))
	case verbMetaNoop:
		c.say("MN\r\n")
	case verbMetaDebug:
		c.metaDebug()
	}
	return nil
}

// word is an answer in the words of the command: the classic one, or a meta code with what the
// client wants back.
func (c *conn) word(classic, code string) string {
	if c.cmd.does == verbNone {
		return classic
	}
	if c.cmd.terse && code == "HD" {
		return ""
	}
	var l *glassq.Lease
	if code == "HD" {
		l = new(glassq.Lease) // that a task was put says nothing of its lease: it has cas 0
	}
	return string(c.appendMeta([]byte(code), l)) + "\r\n"
}

// appendMeta appends what the client wants back, in its order. l is the task of the answer, nil for
// none.
func (c *conn) appendMeta(out []byte, l *glassq.Lease) []byte {
	for rest := c.cmd.rest; ; {
		var flag []byte
		if flag, rest = token(rest); len(flag) == 0 {
			return out
		}
		switch flag[0] {
		case 'O':
			out = append(append(out, ' '), flag...)
		case 'k':
			_, key := token(c.cmd.line) // as it was sent
			key, _ = token(key)
			out = append(append(out, " k"...), key...)
			if c.cmd.has('b') {
				out = append(out, " b"...)
			}
		}
		if l == nil {
			continue
		}
		switch flag[0] {
		case 'c':
			out = strconv.AppendUint(append(out, " c"...), l.Number, 10)
		case 'f':
			out = strconv.AppendUint(append(out, " f"...), uint64(l.Flags), 10)
		case 's':
			out = strconv.AppendInt(append(out, " s"...), int64(len(l.Body)), 10)
		case 't':
			out = append(out, " t-1"...) // a task that was handed out lives as long as its lease
		}
	}
}

// metaGet is mg. With v it takes a task, as get does; with v and c it reserves one, whose lease
// number is the cas value; without v it looks. With a lease number and T it extends that lease.
func (c *conn) metaGet() error {
	cmd := &c.cmd
	var t target
	fault := c.parse(cmd.key, optsGets|optLease, &t)
	v, cas := cmd.has('v'), cmd.has('c')
	ends := t.has&(optClose|optAbort) != 0
	switch {
	case fault != "":
	case cmd.exptime < 0: // of T
		fault = badFormat
	case t.has&optLease != 0:
		if t.has != optLease || v || cas || cmd.has('f') || cmd.has('s') || cmd.has('t') || !cmd.has('T') {
			c.clientError("a lease number in mg goes with T, which extends it, and tells nothing of its task")
			return nil
		}
		c.extend(t.lease, "EN")
		return nil
	case v && cas && t.has&optPeek == 0 && (!ends || t.has&optOpen != 0):
		t.has |= optOpen
	case !v && t.has&optOpen != 0:
		fault = "open goes with v"
	case !v && !ends:
		t.has |= optPeek
	}
	if fault == "" && cmd.has('T') && cas && t.has&(optOpen|optLength) == optOpen {
		t.has, t.length = t.has|optLength, seconds(cmd.exptime)
	}
	if fault == "" {
		fault = t.conflict()
	}
	if fault != "" {
		c.clientError(fault)
		return nil
	}
	if !c.mayDo(c.who.May(t.verb(), c.queue)) {
		return nil
	}
	switch got, err := c.getOne(cmd.key, &t, cas); {
	case err != nil || got != gotNothing:
		return err
	case ends && t.has&optOpen == 0:
		c.say(c.word("", "HD"))
	case !cmd.terse:
		c.say(c.word("", "EN"))
	}
	return c.flushSome()
}

// metaAck is md with C<lease>.
func (c *conn) metaAck() {
	var t target
	if fault := c.parse(c.cmd.key, optLease, &t); fault != "" {
		c.refuse(fault)
		return
	}
	if t.has&optLease != 0 && t.lease != c.cmd.lease {
		c.refuse("the key names another lease than C")
		return
	}
	c.ack(glassq.Ack{Token: c.token(c.cmd.lease)}, ending{done: c.word("", "HD"), lost: c.word("", "NF")})
}

// metaDebug is me: what is known of a queue.
func (c *conn) metaDebug() {
	var t target
	if fault := c.parse(c.cmd.key, 0, &t); fault != "" {
		c.clientError(fault)
		return
	}
	if !c.mayDo(c.who.May(rights.VerbQueue, c.queue)) {
		return
	}
	queues, err := c.s.broker.Queues(c.durable, c.queue)
	switch {
	case err != nil && glassq.CodeOf(err) != glassq.CodeNotFound:
		c.say(failure(err, notFound))
	case len(queues) == 0:
		c.say("EN\r\n")
	default:
		q := &queues[0]
		c.say("ME " + q.Name)
		for _, x := range []struct {
			name string
			n    int64
		}{{"ready", q.Ready}, {"delayed", q.Delayed}, {"leased", q.Leased}, {"dead", q.Dead}, {"bytes", q.Bytes},
			{"age", int64(q.Oldest)}} {
			c.say(" " + x.name + "=" + strconv.FormatInt(x.n, 10))
		}
		c.say("\r\n")
	}
}
