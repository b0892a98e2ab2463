package live

// RingBytes is how much all series take.
func (l *Live) RingBytes() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.bytes
}
