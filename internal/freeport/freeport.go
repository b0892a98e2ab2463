// Package freeport finds addresses for programs that a test or a benchmark starts and that must know
// where to listen before they do.
package freeport

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
)

// Systems hand out ports from here, or from above, to whoever listens on port 0 or connects: they may
// take one of those between the moment it is found free and the moment the program listens on it.
const handedOut = 32768

const (
	lowest = 10000
	tries  = 100 // for each address
)

// Addresses returns n addresses on loopback, all different, on which nobody listens. They are drawn by
// chance, from ports that the system gives to nobody, so others that look at the same time draw others.
func Addresses(n int) (addrs []string, err error) {
	for range n {
		ln, err := listen()
		if err != nil {
			return nil, err
		}
		defer ln.Close() // not before all are found
		addrs = append(addrs, ln.Addr().String())
	}
	return addrs, nil
}

func listen() (net.Listener, error) {
	var last error
	for range tries {
		ln, err := net.Listen("tcp", fmt.Sprint("127.0.0.1:", lowest+rand.IntN(handedOut-lowest)))
		if err == nil {
			return ln, nil
		}
		last = err
	}
	return nil, errors.Join(errors.New("no free port on loopback"), last)
}
