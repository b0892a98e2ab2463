package cluster

import (
	"cmp"
	"context"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/glassq/glassq"
)

const (
	noticeEvery = 5    // beats, between two notices of a gateway
	noticeFor   = 15   // beats that one counts
	mostPeers   = 1000 // gateways whose notices are kept
)

// A notice is what each gateway tells of how it is set. It is no sign: it says nothing of who the owner is.
type notice struct {
	Of string `json:"of"` // the store
	glassq.GatewaySettings
}

// A peer is a gateway as it was heard of last, this one too.
type peer struct {
	glassq.GatewaySettings
	at time.Time
}

// own is what this gateway tells of itself, and is among peers from now on.
func (s *Store) own() glassq.GatewaySettings {
	g := glassq.GatewaySettings{Gateway: s.name, Host: s.opt.Host, Settings: map[string]string{}}
	if s.opt.Settings != nil {
		g.Settings = s.opt.Settings()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.peers[s.name] = peer{g, time.Now()}
	return g
}

// present tells how this gateway is set, now and then, until ctx is done.
func (s *Store) present(ctx context.Context) {
	for {
		text, err := json.Marshal(notice{hex.EncodeToString(s.id[:]), s.own()})
		if err == nil {
			s.ground.Bus.Tell(text) // the next one is heard, if this one is not
		}
		select {
		case <-time.After(noticeEvery * s.opt.Beat):
		case <-ctx.Done():
			return
		}
	}
}

// note takes a notice of another gateway, and logs what is set otherwise there, once.
func (s *Store) note(n notice) {
	s.mu.Lock()
	own, before := s.peers[s.name].GatewaySettings, s.peers[n.Gateway].Settings
	maps.DeleteFunc(s.peers, func(name string, p peer) bool {
		return name != s.name && time.Since(p.at) > noticeFor*s.opt.Beat
	})
	if len(s.peers) < mostPeers || before != nil {
		s.peers[n.Gateway] = peer{n.GatewaySettings, time.Now()}
	}
	s.mu.Unlock()
	for _, name := range glassq.DifferentSettings([]glassq.GatewaySettings{own, n.GatewaySettings}) {
		if before == nil || before[name] != n.Settings[name] {
			s.opt.Logger.Warn("another gateway of the store is set otherwise, so what one lets in another may refuse",
				"setting", name, "host", n.Host, "gateway", n.Gateway)
		}
	}
}

// gateways are this one and those that were heard of lately, by their hosts. mu is held.
func (s *Store) gateways() (list []glassq.GatewaySettings) {
	for _, p := range s.peers {
		if time.Since(p.at) <= noticeFor*s.opt.Beat {
			list = append(list, p.GatewaySettings)
		}
	}
	slices.SortFunc(list, func(a, b glassq.GatewaySettings) int {
		return cmp.Or(cmp.Compare(a.Host, b.Host), cmp.Compare(a.Gateway, b.Gateway))
	})
	return list
}
