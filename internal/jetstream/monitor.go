package jetstream

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/glassq/glassq"
)

// syncs is how servers sync, as their monitoring ports say.
type syncs struct {
	seen int      // servers
	size int      // of the cluster; 0: a single server
	lazy []string // what is said of each that does not sync always

	apart time.Duration // the most that two clocks differ, this machine's among them
}

// monitors asks each server's monitoring port how it syncs. The error has code bad_request: an URL
// that does not answer is one that was named wrongly, or a server of which nothing is known.
func monitors(ctx context.Context, urls []string) (s syncs, err error) {
	ids := map[string]bool{}
	var first, last time.Duration // of the clocks, as seen from this one
	for _, u := range urls {
		var is struct {
			ID       string    `json:"server_id"`
			Now      time.Time `json:"now"`
			Disabled bool      `json:"disabled"`
			Config   struct {
				SyncInterval time.Duration `json:"sync_interval"`
				SyncAlways   bool          `json:"sync_always"`
			} `json:"config"`
			Meta struct {
				Size int `json:"cluster_size"`
			} `json:"meta_cluster"`
		}
		began := time.Now()
		if err := fetch(ctx, u, &is); err != nil {
			return s, glassq.Errorf(glassq.CodeBadRequest, "the monitoring port %s: %w; name the http ports of the servers with --nats-monitor, as http://host:8222", u, err)
		}
		if is.Disabled || ids[is.ID] {
			continue
		}
		ids[is.ID] = true
		// The answer was made at some moment of the call.
		ahead, behind := time.Until(is.Now), is.Now.Sub(began)
		first, last = min(first, behind), max(last, ahead)
		s.seen, s.size = s.seen+1, max(s.size, is.Meta.Size)
		if !is.Config.SyncAlways {
			s.lazy = append(s.lazy, fmt.Sprintf("the server at %s syncs every %s", u,
				cmp.Or(is.Config.SyncInterval, 2*time.Minute)))
		}
	}
	s.apart = last - first
	return s, nil
}

func fetch(ctx context.Context, base string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, tryFor)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(base, "/")+"/jsz?config=true", nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("it answers %s", resp.Status)
	}
	return json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(into)
}
