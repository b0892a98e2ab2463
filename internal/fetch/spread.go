package fetch

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"
)

// A spreader dials names so that connections go to all addresses of an answer in turn. It tries the
// family that the resolver puts first, and the other one beside it when that fails or takes
// fallbackDelay (RFC 8305, in short).
type spreader struct {
	dial   func(ctx context.Context, network, addr string) (net.Conn, error)
	lookup func(ctx context.Context, network, host string) ([]netip.Addr, error)
	turn   atomic.Uint32
}

const fallbackDelay = 300 * time.Millisecond

func (s *spreader) connect(ctx context.Context, network, addr string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return s.dial(ctx, network, addr)
	}
	list, err := s.lookup(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	turn := int(s.turn.Add(1) - 1)
	var first, second []string
	for _, ip := range list {
		if ip.Unmap().Is4() == list[0].Unmap().Is4() {
			first = append(first, net.JoinHostPort(ip.Unmap().String(), port))
		} else {
			second = append(second, net.JoinHostPort(ip.Unmap().String(), port))
		}
	}
	first, second = rotate(first, turn), rotate(second, turn)
	if len(second) == 0 {
		return s.inTurn(ctx, network, first)
	}
	return s.race(ctx, network, first, second)
}

func rotate(list []string, by int) []string {
	if len(list) < 2 {
		return list
	}
	by %= len(list)
	return slices.Concat(list[by:], list[:by])
}

// inTurn tries addresses until one answers. Each gets its share of the time that is left.
func (s *spreader) inTurn(ctx context.Context, network string, list []string) (c net.Conn, first error) {
	for i, addr := range list {
		one, cancel := ctx, func() {}
		if end, ok := ctx.Deadline(); ok && i < len(list)-1 {
			one, cancel = context.WithTimeout(ctx, time.Until(end)/time.Duration(len(list)-i))
		}
		c, err := s.dial(one, network, addr)
		cancel()
		if err == nil {
			return c, nil
		}
		if first == nil {
			first = err
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, first
}

// race tries first, and second beside it when that fails or is slow. Nothing of it is under way
// when it returns.
func (s *spreader) race(ctx context.Context, network string, first, second []string) (net.Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type end struct {
		c   net.Conn
		err error
	}
	ends := make(chan end, 2)
	start := func(list []string) {
		go func() {
			c, err := s.inTurn(ctx, network, list)
			ends <- end{c, err}
		}()
	}
	start(first)
	slow := time.NewTimer(fallbackDelay)
	defer slow.Stop()
	var cause error
	for running, both := 1, false; running > 0; {
		select {
		case <-slow.C:
		case e := <-ends:
			running--
			if e.err == nil {
				cancel()
				if running > 0 {
					if late := <-ends; late.c != nil {
						late.c.Close()
					}
				}
				return e.c, nil
			}
			if cause == nil {
				cause = e.err
			}
		}
		if !both {
			both = true
			running++
			start(second)
		}
	}
	return nil, cause
}
