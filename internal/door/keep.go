package door

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/glassq/glassq"
)

// A Keeper extends the leases of clients that cannot do so themselves, while their connections
// live. Safe for concurrent use.
type Keeper struct {
	store glassq.Store
	lease time.Duration
	log   *slog.Logger

	mu     sync.Mutex
	tokens map[uint64]glassq.Token // by number; guarded by mu
}

// NewKeeper makes a keeper of leases that last for lease.
func NewKeeper(store glassq.Store, lease time.Duration, log *slog.Logger) *Keeper {
	return &Keeper{store: store, lease: lease, log: log, tokens: map[uint64]glassq.Token{}}
}

// Keep has a lease extended until Drop.
func (k *Keeper) Keep(t glassq.Token) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.tokens[t.Number] = t
}

// Drop ends what Keep began. A lease that is not kept is no mistake.
func (k *Keeper) Drop(t glassq.Token) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.tokens, t.Number)
}

// Run extends all of them at a third of their length until ctx is done.
func (k *Keeper) Run(ctx context.Context) {
	tick := time.NewTicker(k.lease / 3)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		for _, part := range k.parts() {
			errs, err := k.store.Extend(ctx, part)
			if err != nil && ctx.Err() == nil {
				k.log.Warn("leases of clients not extended", "leases", len(part), "err", err)
			}
			for i, err := range errs {
				if errors.Is(err, glassq.ErrLeaseLost) { // its client hears of that with its ack
					k.Drop(part[i].Token)
				}
			}
		}
	}
}

// parts lists what is kept, in calls of a size that the broker takes.
func (k *Keeper) parts() (parts [][]glassq.Extend) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, t := range k.tokens {
		last := len(parts) - 1
		if last < 0 || len(parts[last]) == glassq.MaxBatch {
			parts = append(parts, nil)
			last++
		}
		parts[last] = append(parts[last], glassq.Extend{Token: t, Lease: k.lease})
	}
	return parts
}

// GiveBack undoes leases that no client has received: their tasks go back to their old places, and
// no attempt is counted. It does so even where ctx has ended with the client. Leases of a stopped
// store run out.
func GiveBack(ctx context.Context, store glassq.Store, log *slog.Logger, tokens []glassq.Token) {
	if len(tokens) == 0 {
		return
	}
	nacks := make([]glassq.Nack, len(tokens))
	for i, t := range tokens {
		nacks[i] = glassq.Nack{Token: t, Undone: true}
	}
	if _, err := store.Nack(context.WithoutCancel(ctx), nacks); err != nil {
		log.Warn("leases not given back", "leases", len(tokens), "err", err)
	}
}

// Watched runs f, which may wait, and has an eye on the client of nc meanwhile. look reads from nc
// until the client does what ends the wait, and says what that was; then f's context ends. look
// must return nil when its read meets the deadline that ends the watch: f is over. Neither look nor
// a read deadline is left when Watched returns. gone is what look said.
func Watched(ctx context.Context, nc interface{ SetReadDeadline(time.Time) error }, look func() error,
	f func(context.Context) error) (gone, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	over := make(chan error, 1)
	nc.SetReadDeadline(time.Time{})
	go func() { // ends by the deadline below, at the latest
		gone := look()
		if gone != nil {
			cancel()
		}
		over <- gone
	}()
	err = f(ctx)
	nc.SetReadDeadline(LongAgo)
	gone = <-over
	nc.SetReadDeadline(time.Time{})
	return gone, err
}
