package memcache

import (
	"encoding/binary"
	"errors"
)

// The head of a frame of memcached's binary protocol, which is not spoken here.
const (
	binaryRequest  = 0x80
	binaryResponse = 0x81
	binaryHead     = 24
	binaryUnknown  = 0x81 // the status: unknown command
)

// errBinary ends a connection that speaks the binary protocol.
var errBinary = errors.New("the memcached door speaks the text protocol, and no binary one: " +
	"set the client to text or meta")

// refuseBinary answers a frame in its own protocol, so that the client says what is wrong, and ends
// the connection.
func (c *conn) refuseBinary() error {
	const text = "Unknown command"
	c.settlePending()
	in := c.in[c.r:c.w]
	var out [binaryHead]byte
	out[0], out[1] = binaryResponse, in[1]
	binary.BigEndian.PutUint16(out[6:], binaryUnknown)
	binary.BigEndian.PutUint32(out[8:], uint32(len(text)))
	copy(out[12:16], in[12:16]) // opaque: what the client knows its request by
	c.desk.out = append(append(c.desk.out, out[:]...), text...)
	c.s.binary.Warn(c.s.frame.Log, "a client was refused", "client", c.nc.RemoteAddr(), "err", errBinary)
	return errCut
}
