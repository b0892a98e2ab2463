package manager

import (
	"context"
	"strconv"
	"strings"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/door/manager/pickle"
	"github.com/glassq/glassq/internal/rights"
)

// maxCounts is how many queues are counted when one more may be shut down, whatever its name.
const maxCounts = 100_000

// shutdown ends a queue for the Python programs, as Queue.shutdown of Python 3.13 does: puts raise
// ShutDown, and so do gets when nothing is ready, or with immediate at once. Items stay. It lasts
// until a put through a proxy that was made later, or the end of the server.
func (c *conn) shutdown(queue string, immediate *pickle.Value) error {
	if err := c.confirm(); err != nil {
		return c.fault(err)
	}
	_, err := c.store.Do(c.ctx, rights.VerbShutdown, queue, func() (int, error) {
		c.s.mu.Lock()
		defer c.s.mu.Unlock()
		if len(c.s.counts) >= maxCounts && c.s.counts[queue] == nil {
			return 0, glassq.Errorf(glassq.CodeQuota, "%d queues are in use or shut down already", maxCounts)
		}
		n := c.s.count(queue)
		n.shuts++
		n.down, n.now = true, n.now || immediate != nil && immediate.True()
		if n.woken != nil {
			close(n.woken)
			n.woken = nil
		}
		return 0, nil
	})
	if err != nil {
		return c.fault(err)
	}
	return c.reply(appendNone)
}

// shutdowns is how often a queue was shut down, for the idents of proxies that are made now.
func (s *Server) shutdowns(queue string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := s.counts[queue]; n != nil {
		return "." + strconv.Itoa(n.shuts)
	}
	return ".0"
}

// mayPut tells whether the queue is open for a put through an ident, which opens it if it is newer
// than the shutdown.
func (s *Server) mayPut(queue, id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.counts[queue]
	if n == nil || !n.down {
		return true
	}
	made, err := strconv.Atoi(id[strings.LastIndexByte(id, '.')+1:])
	if err != nil || made < n.shuts {
		return false
	}
	n.down, n.now = false, false
	return true
}

// isDown tells whether a queue is shut down, and whether that was to be at once.
func (s *Server) isDown(queue string) (down, now bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.counts[queue]
	return n != nil && n.down, n != nil && n.now
}

// untilShut runs f, whose context ends when the queue is shut down.
func (s *Server) untilShut(ctx context.Context, queue string, f func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	s.mu.Lock()
	n := s.count(queue)
	if n.woken == nil {
		n.woken = make(chan struct{})
	}
	n.waits++
	woken := n.woken
	if n.down {
		cancel()
	}
	s.mu.Unlock()
	go func() { // ends with f, at the latest
		defer close(ended)
		select {
		case <-woken:
			cancel()
		case <-ctx.Done():
		}
	}()
	err := f(ctx)
	cancel()
	<-ended
	s.mu.Lock()
	defer s.mu.Unlock()
	if n.waits--; n.waits == 0 && n.taken == 0 && n.shuts == 0 {
		delete(s.counts, queue) // whatever its name, there was nothing to count
	}
	return err
}

// isShut is what a call on a queue that is shut down raises. Pythons before 3.12 have no such
// exception, and 3.12 says that it has none.
func (c *conn) isShut(queue string) *exception {
	if c.by.named {
		return &exception{"ShutDown", ""}
	}
	return &exception{"RuntimeError", "queue " + queue + " is shut down; make a new proxy to put into it again"}
}
