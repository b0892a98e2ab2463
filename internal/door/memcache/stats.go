package memcache

import (
	"fmt"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/glassq/glassq/internal/rights"
)

// A tally is what one connection has done since its last flush.
type tally struct {
	gets, hits, sets, read, written uint64
}

// counters are those of the whole door.
type counters struct {
	current, conns                                 atomic.Int64
	gets, hits, sets, read, written, quietFailures atomic.Uint64
}

// add takes over a tally and clears it.
func (n *counters) add(t *tally) {
	for _, x := range []struct {
		to   *atomic.Uint64
		from uint64
	}{{&n.gets, t.gets}, {&n.hits, t.hits}, {&n.sets, t.sets}, {&n.read, t.read}, {&n.written, t.written}} {
		if x.from > 0 {
			x.to.Add(x.from)
		}
	}
	*t = tally{}
}

func (n *counters) reset() {
	for _, x := range []*atomic.Uint64{&n.gets, &n.hits, &n.sets, &n.read, &n.written, &n.quietFailures} {
		x.Store(0)
	}
	n.conns.Store(n.current.Load())
}

func (c *conn) stat(name string, value any) {
	c.desk.out = fmt.Appendf(c.desk.out, "STAT %s %v\r\n", name, value)
}

// stats answers stats, stats queue and stats reset.
func (c *conn) stats(rest []byte) {
	word, more := token(rest)
	if extra, _ := token(more); len(extra) > 0 {
		c.say(badVerb)
		return
	}
	switch string(word) {
	case "settings":
		c.settings()
	case "items", "slabs", "sizes", "conns": // of a cache's memory, and of other clients: nothing to tell
		c.say(endOf)
	case "":
		if c.mayDo(c.who.MayAtAll(rights.VerbStats)) {
			c.serverStats()
		}
	case "queue", "queues":
		c.queueStats()
	case "reset":
		_, err := c.operate().Do(c.ctx, rights.VerbResetStats, "", func() (int, error) {
			c.n = tally{}
			c.s.count.reset()
			return 0, nil
		})
		if c.mayDo(err) {
			c.say("RESET\r\n")
		}
	default:
		c.say(badVerb)
	}
}

func (c *conn) serverStats() {
	queues, err := c.s.broker.Queues(c.durable)
	if err != nil {
		c.say(failure(err, notFound))
		return
	}
	var now, bytes int64
	var total uint64
	for i := range queues {
		q := &queues[i]
		now, bytes, total = now+q.Ready+q.Delayed+q.Leased+q.Dead, bytes+q.Bytes, total+q.Books.Put
	}
	n := &c.s.count
	n.add(&c.n)
	user, system := usage()
	c.stat("pid", os.Getpid())
	c.stat("uptime", int64(time.Since(c.s.began).Seconds()))
	c.stat("time", time.Now().Unix())
	c.stat("version", version)
	c.stat("glassq_version", c.s.frame.Version)
	c.stat("pointer_size", strconv.IntSize)
	c.stat("rusage_user", fmt.Sprintf("%.6f", user))
	c.stat("rusage_system", fmt.Sprintf("%.6f", system))
	c.stat("curr_connections", n.current.Load())
	c.stat("total_connections", n.conns.Load())
	c.stat("connection_structures", n.current.Load())
	c.stat("get_cmds", n.gets.Load())
	c.stat("get_hits", n.hits.Load())
	c.stat("set_cmds", n.sets.Load())
	c.stat("set_hits", n.sets.Load())
	c.stat("bytes_read", n.read.Load())
	c.stat("bytes_written", n.written.Load())
	c.stat("noreply_failures", n.quietFailures.Load())
	c.stat("threads", 1)
	c.stat("max_connections", c.s.frame.Seats.Most())
	c.stat("cmd_get", n.gets.Load())
	c.stat("cmd_set", n.sets.Load())
	c.stat("get_misses", n.gets.Load()-min(n.hits.Load(), n.gets.Load()))
	c.stat("curr_items", now)
	c.stat("total_items", total)
	c.stat("bytes", bytes)
	c.stat("limit_maxbytes", 0) // none: tasks lie on the disk
	c.stat("evictions", 0)      // nor is any task given up for another
	c.say(endOf)
}

// settings are those of memcached's that a client or a monitor may want and that mean something
// here.
func (c *conn) settings() {
	c.stat("maxconns", c.s.frame.Seats.Most())
	c.stat("item_size_max", c.s.broker.Limits().MaxBody)
	c.stat("cas_enabled", "yes")
	c.stat("evictions", "off")
	c.stat("flush_enabled", "yes")
	c.stat("binding_protocol", "ascii")
	c.stat("auth_enabled_ascii", map[bool]string{true: "yes", false: "no"}[c.s.frame.Access.Locked()])
	c.say(endOf)
}

// queueStats gives memcacheq's line for each queue, <puts>/<gets> with the depth as their
// difference, and below it what is not in there.
func (c *conn) queueStats() {
	queues, err := c.operate().Queues(c.durable)
	if err != nil {
		c.say(failure(err, notFound))
		return
	}
	for i := range queues {
		q := &queues[i]
		c.stat(q.Name, fmt.Sprintf("%d/%d", q.Books.Put, q.Books.Put-q.Pending))
		c.stat(q.Name+"/ready", q.Ready)
		c.stat(q.Name+"/delayed", q.Delayed)
		c.stat(q.Name+"/leased", q.Leased)
		c.stat(q.Name+"/dead", q.Dead)
		c.stat(q.Name+"/bytes", q.Bytes)
		c.stat(q.Name+"/age", int64(q.Oldest))
		if c.flushSome() != nil {
			return
		}
	}
	c.say(endOf)
}
