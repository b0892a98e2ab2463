package memcache

import (
	"bytes"
	"math"
)

// maxLine is the longest command line, without its line end, in bytes; maxKeys is that of one that
// names many queues: get, gets, gat and gats.
const (
	maxLine = 2048
	maxKeys = 64 << 10
)

// maxSkip is the largest body that is read past when it is refused. A client that announces more is
// cut off.
const maxSkip = 1 << 30

// A verb is the first word of a line.
type verb uint8

const (
	verbNone verb = iota // not known: ERROR
	verbSet
	verbAdd
	verbCas
	verbGet
	verbGets
	verbGat
	verbGats
	verbChange // append, prepend, replace: what a queue holds is not changed
	verbCount  // incr, decr: it counts nothing either
	verbDelete
	verbTouch
	verbFlush
	verbFlushAll
	verbStats
	verbVersion
	verbVerbosity
	verbQuit
	verbMeta // what it stands for is in the command
	verbMetaGet
	verbMetaAck
	verbMetaNoop
	verbMetaDebug
)

// A command is one line. Its slices alias the line.
type command struct {
	line    []byte
	verb    verb
	key     []byte // of those with one key
	rest    []byte // all after the verb, for those with other arguments
	flags   uint32
	exptime int64  // seconds, as sent
	size    int    // bytes of body that follow; -1 for a command without one
	lease   uint64 // the cas field
	quiet   bool   // noreply: nothing is answered
	does    verb   // of a meta command: the verb that it stands for; its flags are rest
	terse   bool   // and whether it is not answered where all went as usual
	fault   string // why it is refused, without CLIENT_ERROR; "" when it is fine
	cut     bool   // where its body ends is not known: the connection cannot go on
}

const (
	badFormat = "bad command line format"
	badName   = "bad queue name: it has 1 to 200 bytes of A-Z a-z 0-9 . _ : + -, and is neither . nor .."
)

// parseCommand reads a line without its line end. Its faults are in c.fault and c.cut; a
// command that is not known has verbNone. Whatever is wrong, c.quiet is right.
func parseCommand(line []byte, c *command) {
	args, quiet := cutNoreply(line)
	word, rest := token(args)
	*c = command{line: line, size: -1, rest: rest, quiet: quiet}
	switch string(word) {
	case "set":
		c.verb = verbSet
		c.storage()
	case "get":
		c.verb = verbGet
	case "gets":
		c.verb = verbGets
	case "delete":
		c.verb = verbDelete
		c.delete()
	case "cas":
		c.verb = verbCas
		c.storage()
	case "add":
		c.verb = verbAdd
		c.storage()
	case "touch":
		c.verb = verbTouch
		c.touch()
	case "flush":
		c.verb = verbFlush
		c.key, rest = token(rest)
		c.tail(rest)
	case "flush_all":
		c.verb = verbFlushAll
		c.flushAll()
	case "stats":
		c.verb = verbStats
	case "version":
		c.verb = verbVersion
	case "verbosity":
		c.verb = verbVerbosity
		_, rest = token(rest)
		c.tail(rest)
	case "quit":
		c.verb = verbQuit
	case "gat":
		c.verb = verbGat
		c.span()
	case "gats":
		c.verb = verbGats
		c.span()
	case "replace", "append", "prepend":
		c.verb = verbChange
		c.storage()
	case "incr", "decr":
		c.verb = verbCount
		c.delta()
	case "mg", "ms", "md", "ma", "mn", "me":
		c.metaCommand(word[1])
	}
}

// moved notes that the line, of which nothing has changed, lies at the beginning of to. An empty to
// is for a command that is done.
func (c *command) moved(to []byte) {
	if len(to) == 0 {
		return
	}
	for _, part := range []*[]byte{&c.key, &c.rest} {
		if *part != nil {
			at := cap(c.line) - cap(*part) // no part has a bound of its own
			*part = to[at : at+len(*part)]
		}
	}
	c.line = to[:len(c.line)]
}

// cutNoreply takes noreply off the end of a line, and reports whether it was there: then the client
// reads no answer, whatever becomes of the command, and one that was sent all the same would be
// taken for that to its next command. So this is asked before anything else of the line is looked
// at.
func cutNoreply(line []byte) (rest []byte, quiet bool) {
	rest, quiet = bytes.CutSuffix(bytes.TrimRight(line, " "), wordNoreply)
	if !quiet {
		return line, false
	}
	verb, args := token(rest)
	switch string(verb) {
	case "get", "gets", "gat", "gats", "stats", "mg", "ms", "md", "ma", "mn", "me":
		return line, false // sent for their answers: it is a key there, or a flag
	case "flush_all", "verbosity":
		return rest, true
	}
	if key, _ := token(args); len(key) == 0 {
		return line, false // it is the key
	}
	return rest, true
}

var wordNoreply = []byte(" noreply")

// storage reads <key> <flags> <exptime> <bytes> [<lease>].
func (c *command) storage() {
	var flags, exptime, size, word []byte
	rest := c.rest
	c.key, rest = token(rest)
	flags, rest = token(rest)
	exptime, rest = token(rest)
	size, rest = token(rest)
	if c.length(size); c.cut {
		return
	}
	f, ok := number(flags)
	if !ok || f > math.MaxUint32 {
		c.fault = badFormat
	}
	c.flags = uint32(f)
	if c.exptime, ok = signed(exptime); !ok {
		c.fault = badFormat
	}
	if c.verb == verbCas {
		word, rest = token(rest)
		if c.lease, ok = number(word); !ok {
			c.fault = badFormat
		}
	}
	c.tail(rest)
}

// length reads the size of a body.
func (c *command) length(word []byte) {
	n, ok := number(word)
	switch {
	case !ok:
		c.fault, c.cut = badFormat, true
	case n > maxSkip:
		c.fault, c.cut = badFormat, true
	default:
		c.size = int(n)
	}
}

// tail refuses what is left of a line.
func (c *command) tail(rest []byte) {
	if word, _ := token(rest); len(word) > 0 {
		c.fault = badFormat
	}
}

// delete reads <key> [0].
func (c *command) delete() {
	c.key, c.rest = token(c.rest)
	word, rest := token(c.rest)
	if string(word) == "0" {
		c.rest = rest
	}
	c.tail(c.rest)
	if len(c.key) == 0 {
		c.fault = badFormat
	}
}

// touch reads <key> <seconds>.
func (c *command) touch() {
	c.key, c.rest = token(c.rest)
	word, rest := token(c.rest)
	var ok bool
	c.tail(rest)
	if c.exptime, ok = signed(word); !ok {
		c.fault = badFormat
	}
}

// span reads the seconds before the keys of gat and gats.
func (c *command) span() {
	word, rest := token(c.rest)
	var ok bool
	if c.exptime, ok = signed(word); !ok && len(word) > 0 {
		c.fault = "invalid exptime argument"
	}
	c.rest = rest
}

// delta reads <key> <number>.
func (c *command) delta() {
	c.key, c.rest = token(c.rest)
	word, rest := token(c.rest)
	more, _ := token(rest)
	switch _, ok := number(word); {
	case len(word) == 0 || len(more) > 0:
		c.verb = verbNone
	case !ok:
		c.fault = "invalid numeric delta argument"
	}
}

// flushAll reads [0].
func (c *command) flushAll() {
	word, rest := token(c.rest)
	switch n, ok := number(word); {
	case ok && n > 0:
		c.fault = "flush_all cannot wait"
	case ok:
		c.tail(rest)
	default:
		c.tail(c.rest)
	}
}

// token returns the first word of b, "" for none, and what follows it.
func token(b []byte) (word, rest []byte) {
	for len(b) > 0 && b[0] == ' ' {
		b = b[1:]
	}
	for i, c := range b { // words are short: a call to look for their end costs more
		if c == ' ' {
			return b[:i], b[i+1:]
		}
	}
	return b, nil
}

// number reads digits only, up to 19 of them.
func number(b []byte) (n uint64, ok bool) {
	if len(b) == 0 || len(b) > 19 {
		return 0, false
	}
	for _, d := range b {
		if d < '0' || d > '9' {
			return 0, false
		}
		n = n*10 + uint64(d-'0')
	}
	return n, true
}

// signed reads a number with an optional minus, of at most 18 digits.
func signed(b []byte) (int64, bool) {
	neg := len(b) > 0 && b[0] == '-'
	if neg {
		b = b[1:]
	}
	n, ok := number(b)
	if !ok || n > 1e18 {
		return 0, false
	}
	if neg {
		return -int64(n), true
	}
	return int64(n), true
}

// looksHTTP tells whether a line is the first one of an HTTP request, or its header Host: a web page
// that was made to talk to this port must not get far enough to put anything. In the first line of
// a connection it may have the word of a command.
func looksHTTP(line []byte) bool {
	if len(line) >= 5 && bytes.EqualFold(line[:5], []byte("host:")) {
		return true
	}
	if i := bytes.LastIndexByte(line, ' '); i >= 0 && bytes.HasPrefix(line[i+1:], []byte("HTTP/")) {
		return true
	}
	switch word, rest := token(line); string(word) {
	case "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "PRI":
		return len(rest) > 0
	}
	return false
}
