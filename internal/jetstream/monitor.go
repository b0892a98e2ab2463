package jetstream

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
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
	full []string // what is said of each that is nearly full

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
			Storage  int64     `json:"storage"`
			Config   struct {
				MaxStorage   int64         `json:"max_storage"`
				SyncInterval time.Duration `json:"sync_interval"`
				SyncAlways   bool          `json:"sync_always"`
			} `json:"config"`
			Meta struct {
				Size int `json:"cluster_size"`
			} `json:"meta_cluster"`
		}
		began := time.Now()
		if err := fetch(ctx, u, withConfig, &is); err != nil {
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
		if most := is.Config.MaxStorage; is.Storage > most/100*85 {
			s.full = append(s.full, fmt.Sprintf("the server at %s holds %d of the %d bytes of its max_file_store", u, is.Storage, most))
		}
		if !is.Config.SyncAlways {
			s.lazy = append(s.lazy, fmt.Sprintf("the server at %s syncs every %s", u,
				cmp.Or(is.Config.SyncInterval, 2*time.Minute)))
		}
	}
	s.apart = last - first
	return s, nil
}

// roomAt is how many bytes a server takes before it takes nothing any more.
func roomAt(ctx context.Context, monitor string) (int64, error) {
	var is struct {
		Disabled bool  `json:"disabled"`
		Storage  int64 `json:"storage"`
		Config   struct {
			MaxStorage int64 `json:"max_storage"`
		} `json:"config"`
	}
	err := fetch(ctx, monitor, withConfig, &is)
	if err == nil && is.Disabled {
		err = errors.New("its JetStream is off")
	}
	return is.Config.MaxStorage - is.Storage, err
}

// nameAt is the name of a server, as streams call it.
func nameAt(ctx context.Context, monitor string) (string, error) {
	var is struct {
		Name string `json:"server_name"`
	}
	err := fetch(ctx, monitor, "/varz", &is)
	return is.Name, err
}

const withConfig = "/jsz?config=true" // of which all is as it is now; the limits in /varz are those of its start

func fetch(ctx context.Context, base, path string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, tryFor)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(base, "/")+path, nil)
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
