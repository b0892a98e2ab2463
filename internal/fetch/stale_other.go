//go:build !unix

package fetch

import "net"

// stale is not known here: a request on a connection that was closed meanwhile ends as eof or
// reset.
func stale(net.Conn) bool { return false }
