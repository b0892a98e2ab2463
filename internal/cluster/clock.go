package cluster

import "time"

// seen is how long ago the log's time was last, by what this gateway has heard of its owners since.
func (s *Store) seen(last int64) (ago time.Duration, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.logNow == 0 {
		return 0, false
	}
	return max(0, time.Duration(s.logTime()-last)*time.Millisecond), true
}

// logTime is the time of the log by what owners told of it, in ms; mu is held.
func (s *Store) logTime() int64 {
	if s.logNow == 0 {
		return 0
	}
	return s.logNow + time.Since(s.logAt).Milliseconds()
}
