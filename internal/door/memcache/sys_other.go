//go:build !unix

package memcache

// readArrived finds nothing: what has arrived is found by the next read that waits.
func (c *conn) readArrived(uintptr) bool {
	c.nRead = 0
	return true
}

// usage is not known here.
func usage() (user, system float64) { return 0, 0 }

// writeSome is asked by loops only, which are not here.
func (c *conn) writeSome(uintptr) bool {
	c.nWritten = 0
	return true
}
