package memcache

import (
	"context"
	"sync"
	"time"

	"github.com/glassq/glassq"
)

// A keeper extends the leases of open reads while their connections live.
type keeper struct {
	mu     sync.Mutex
	tokens map[uint64]glassq.Token // guarded by mu
}

func (k *keeper) keep(t glassq.Token) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.tokens[t.Number] = t
}

func (k *keeper) drop(number uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.tokens, number)
}

// run extends all of them at a third of their length until ctx is done.
func (k *keeper) run(ctx context.Context, s *Server) {
	tick := time.NewTicker(openLease / 3)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		for _, part := range k.parts() {
			errs, err := s.store.Extend(ctx, part)
			if err != nil {
				s.log.Warn("open reads not extended", "leases", len(part), "err", err)
				continue
			}
			for i, err := range errs {
				if err != nil { // the close will say so
					k.drop(part[i].Token.Number)
				}
			}
		}
	}
}

// parts lists what is kept, in calls of a size that the broker takes.
func (k *keeper) parts() (parts [][]glassq.Extend) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, t := range k.tokens {
		last := len(parts) - 1
		if last < 0 || len(parts[last]) == glassq.MaxBatch {
			parts = append(parts, nil)
			last++
		}
		parts[last] = append(parts[last], glassq.Extend{Token: t, Lease: openLease})
	}
	return parts
}
