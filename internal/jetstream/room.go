package jetstream

import (
	"context"
	"sync"
	"time"

	"github.com/glassq/glassq/internal/cluster"
	natsjs "github.com/nats-io/nats.go/jetstream"
)

const lookEvery = time.Second // at the room of the servers, at most

// A serverRoom is how large the log may become before one of its servers is over its own max_file_store.
// Such a server takes nothing any more: no ack, no purge and no vote. NATS tells users nothing of that limit,
// monitoring ports do. It looks while somebody asks, and nobody waits for it but the first one.
type serverRoom struct {
	monitors []string
	ctx      context.Context // of all looks; done by close
	cancel   context.CancelFunc
	wg       sync.WaitGroup
	first    chan struct{} // closed by the first look

	mu    sync.Mutex        // guards everything below
	began time.Time         // the last look
	under int               // looks under way at single servers
	names map[string]string // of the servers, by the URLs of their monitoring ports
	most  map[string]int64  // bytes of the log, by the same
}

func newServerRoom(monitors []string) *serverRoom {
	r := &serverRoom{monitors: monitors, first: make(chan struct{}), names: map[string]string{}, most: map[string]int64{}}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	return r
}

func (r *serverRoom) close() {
	r.cancel()
	r.wg.Wait()
}

// limit lowers MaxBytes of a log to what its servers have room for.
func (r *serverRoom) limit(ctx context.Context, info *cluster.Info, at *natsjs.ClusterInfo) {
	if len(r.monitors) == 0 {
		return
	}
	r.look(info.Bytes)
	select {
	case <-r.first:
	case <-ctx.Done():
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for u, most := range r.most {
		if keeps(at, r.names[u]) && (info.MaxBytes == 0 || most < info.MaxBytes) {
			info.MaxBytes = max(1, most)
		}
	}
}

// keeps tells whether a server has a copy of a stream; a single server has no cluster.
func keeps(at *natsjs.ClusterInfo, server string) bool {
	if at == nil || at.Leader == server {
		return true
	}
	for _, peer := range at.Replicas {
		if peer.Name == server {
			return true
		}
	}
	return false
}

// look asks all servers, unless that is under way or was lately. The log has held so many bytes before.
func (r *serverRoom) look(bytes int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.under > 0 || time.Since(r.began) < lookEvery || r.ctx.Err() != nil {
		return
	}
	first := r.began.IsZero()
	r.began, r.under = time.Now(), len(r.monitors)
	for _, u := range r.monitors {
		name := r.names[u]
		r.wg.Go(func() {
			left, err := roomAt(r.ctx, u)
			if err == nil && name == "" {
				name, err = nameAt(r.ctx, u)
			}
			r.mu.Lock()
			defer r.mu.Unlock()
			if err == nil { // else what was so is so, as far as anybody knows
				r.names[u], r.most[u] = name, bytes+left
			}
			if r.under--; r.under == 0 && first {
				close(r.first)
			}
		})
	}
}
