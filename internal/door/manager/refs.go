package manager

import (
	"slices"
	"strings"
	"time"
)

// What the end of a connection says about the work of its client.
//
// A Python program counts references to each ident that create returned: create makes the first
// one, incref adds one, decref takes one away. A program sends an incref for each copy of a proxy,
// also for one that was unpickled, and for each one that a child of multiprocessing inherits; and a
// decref for each that it lets go of, as it does for all of them at a normal exit. A killed program
// sends none, so that its references stay for ever. All of these come on connections of their own,
// which do not say whose they are.
//
// Hence a decref that leaves references explains nothing: of two programs that share an ident it
// may be either's. The one to zero says that everybody has let go in good order. It speaks for the
// connection that got an item through that ident if nothing contradicts:
//
//   - It is the only open connection that has called through the ident. Of several one may belong to a child
//     of os.fork, which is not counted.
//   - It belongs to a main thread. Python drops the proxies of a program there; other threads are cut off at
//     the exit in the midst of their work, and their end looks the same.
//   - It has called through no other ident that has references left, or whose references are not known:
//     those of before a restart of the server, and those that were forgotten. Python closes the connection
//     when the last proxy is gone.
//   - It ends soon after, and without another call: Python closes it at once.
//
// Everything else hands the item out again. docs/python.md says what that costs.

const (
	maxIdents = 100_000
	maxUses   = 100             // idents that are noted of one connection
	closeSoon = 2 * time.Second // longest time from the last decref to the end of the connection
)

// An ident is a queue's object as create named it, while references are left. All of it is guarded
// by the server's mu.
type ident struct {
	count int
	users []*conn // open connections of main threads that have called through it
}

// A witness is what the server knows of a connection's references. All of it is guarded by the
// server's mu.
type witness struct {
	uses   map[string]bool // idents with references left that it has called through
	blind  bool            // it has called through others, too
	heldBy string          // the ident of the get that handed out its item
	letGo  time.Time       // when that ident was dropped and only this connection used it; zero when it was not
}

// created notes a new ident. When there are too many, another one is forgotten, if possible one
// that nobody uses.
func (s *Server) created(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	tries := 0
	for old, i := range s.idents { // in no order
		if len(s.idents) < maxIdents {
			break
		}
		if tries++; len(i.users) == 0 || tries == 100 {
			s.forget(old)
		}
	}
	s.idents[id] = &ident{count: 1}
}

// forget ends the count of an ident. From then on it shows nothing about those who use it. The
// caller holds mu.
func (s *Server) forget(id string) {
	if i := s.idents[id]; i != nil {
		for _, c := range i.users {
			c.refs.blind = true
		}
		delete(s.idents, id)
	}
}

// increfed notes one reference more. An ident that is not known stays so: its other references are
// not known.
func (s *Server) increfed(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := s.idents[id]; i != nil {
		i.count++
	}
}

// decrefed notes one reference less.
func (s *Server) decrefed(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.idents[id]
	if i == nil {
		return
	}
	if i.count--; i.count > 0 {
		return
	}
	delete(s.idents, id)
	for _, c := range i.users {
		delete(c.refs.uses, id)
	}
	if len(i.users) == 1 && i.users[0].refs.heldBy == id {
		i.users[0].refs.letGo = time.Now()
	}
}

// called notes that a connection calls through an ident.
func (s *Server) called(c *conn, id string) {
	if !c.mainThread {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	w := &c.refs
	w.letGo, w.heldBy = time.Time{}, ""
	i := s.idents[id]
	switch {
	case w.uses[id]:
	case i == nil:
		w.blind = true
	case len(w.uses) == maxUses:
		w.blind = true
		s.forget(id)
	default:
		if w.uses == nil {
			w.uses = map[string]bool{}
		}
		w.uses[id] = true
		if i.users = append(i.users, c); len(i.users) > i.count {
			s.forget(id) // somebody uses it who is not counted
		}
	}
}

// ended notes the end of a connection. It tells whether its client let go of its proxies before.
func (s *Server) ended(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := &c.refs
	for id := range w.uses {
		if i := s.idents[id]; i != nil {
			i.users = slices.DeleteFunc(i.users, func(u *conn) bool { return u == c })
		}
	}
	return !w.blind && len(w.uses) == 0 && !w.letGo.IsZero() && time.Since(w.letGo) <= closeSoon
}

// ofMainThread tells from the name that a client gives its connection whether that is its main
// thread's: others append a bar and their own name.
func ofMainThread(name string) bool { return name != "" && !strings.Contains(name, "|") }
