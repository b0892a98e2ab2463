package cluster

// Abort ends a gateway as the death of its process does: what is with the log stays as it is.
func (s *Store) Abort() {
	s.atOnce.Store(true)
	s.Close()
}

// Owns tells whether the gateway is the owner.
func (s *Store) Owns() bool { return s.serving() != nil }
