package cluster

import "time"

// Abort ends a gateway as the death of its process does: what is with the log stays as it is.
func (s *Store) Abort() {
	s.atOnce.Store(true)
	s.Close()
}

// Owns tells whether the gateway is the owner.
func (s *Store) Owns() bool { return s.serving() != nil }

// Steal has the gateway take over at once, whoever is the owner, and returns when it is, or has
// failed.
func (s *Store) Steal() {
	over := func() bool { return s.Owns() || s.isClosed() || s.Failure() != nil }
	for wait := time.Microsecond; !over(); wait = min(2*wait, 10*time.Millisecond) {
		s.mu.Lock()
		s.left = true
		s.mu.Unlock()
		s.wake()
		time.Sleep(wait)
	}
}

// Checkpoint writes a checkpoint, as the owner.
func (s *Store) Checkpoint() error { return s.serving().engine.Checkpoint(nil) }
