package cluster_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/broker"
	"github.com/glassq/glassq/internal/cluster"
	"github.com/glassq/glassq/internal/cluster/clustertest"
	"github.com/glassq/glassq/internal/schema"
)

// TestPeers: every gateway knows how the others are set, says once where they differ, and forgets those
// that are gone.
func TestPeers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		world := clustertest.New(clustertest.Options{Hop: time.Millisecond})
		var said bytes.Buffer
		var tokens atomic.Value
		tokens.Store("1")
		join := func(host string, set func() map[string]string) *cluster.Store {
			opt := often(t)
			opt.Beat, opt.Host, opt.Settings = 0, host, set
			if host == "a" {
				opt.Logger = slog.New(slog.NewTextHandler(&said, nil))
			}
			_, g := join(t, world, opt)
			return g
		}
		fixed := func() map[string]string { return map[string]string{"token-file": "1"} }
		a := join("a", fixed)
		defer a.Close()
		b := join("b", func() map[string]string { return map[string]string{"token-file": tokens.Load().(string)} })
		defer b.Close()
		c := join("c", fixed)
		check := func(s *cluster.Store, hosts, differ string) {
			t.Helper()
			time.Sleep(time.Minute)
			stats, err := s.Stats(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, g := range stats.Cluster.Gateways {
				got = append(got, g.Host)
			}
			d := glassq.DifferentSettings(stats.Cluster.Gateways)
			if strings.Join(got, "") != hosts || strings.Join(d, "") != differ {
				t.Errorf("gateways %v with different %v, want %s and %q", got, d, hosts, differ)
			}
		}
		check(a, "abc", "")
		check(b, "abc", "")
		if text := said.String(); strings.Contains(text, "set otherwise") {
			t.Errorf("it said %s", text)
		}
		tokens.Store("2") // a reload
		check(a, "abc", "token-file")
		check(c, "abc", "token-file")
		if n := strings.Count(said.String(), "set otherwise"); n != 1 {
			t.Errorf("it said %d times that another gateway is set otherwise, want once", n)
		}
		tokens.Store("1")
		check(a, "abc", "")
		c.Close()
		check(b, "ab", "")
	})
}

// An early bus has a message for whoever begins to hear.
type early struct {
	cluster.Bus
	msg []byte
}

func (b early) Hear(hear func([]byte)) (stop func(), err error) {
	stop, err = b.Bus.Hear(hear)
	hear(b.msg)
	return stop, err
}

// TestPeerAtOnce: a gateway that hears of another one before it has told of itself finds nothing different
// where nothing is; and who owns the store does not tell how the others are set.
func TestPeerAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		world := clustertest.New(clustertest.Options{})
		a, err := cluster.Open(t.Context(), world.Join().Ground(), often(t))
		if err != nil {
			t.Fatal(err)
		}
		defer a.Close()
		time.Sleep(time.Minute)
		ground := world.Join().Ground()
		var is struct{ Store string }
		for key, member := range map[string]string{"store": "store", "shard.0": "stats"} {
			text, _, err := ground.Hints.Get(t.Context(), key)
			if err != nil || json.Unmarshal(text, &is) != nil || !bytes.Contains(text, []byte(`"`+member+`"`)) ||
				bytes.Contains(text, []byte(`"gateways"`)) {
				t.Fatalf("hint %s = %s, %v; want %s and no gateways", key, text, err, member)
			}
		}
		ground.Bus = early{ground.Bus, fmt.Appendf(nil, `{"of":%q,"gateway":"c","settings":{"token-file":"1"}}`, is.Store)}
		var said bytes.Buffer
		opt := often(t)
		opt.Settings = func() map[string]string { return map[string]string{"token-file": "1"} }
		opt.Logger = slog.New(slog.NewTextHandler(&said, nil))
		b, err := cluster.Open(t.Context(), ground, opt)
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Close(); err != nil || strings.Contains(said.String(), "set otherwise") {
			t.Errorf("close = %v, and it said %s", err, said.String())
		}
	})
}

// TestSchemaOverGateways: a gateway that knows an older schema of results than the owner neither refuses nor
// stores a result by it.
func TestSchemaOverGateways(t *testing.T) {
	old, now, none := glassq.Schema(`{"required":["old"]}`), glassq.Schema(`{"required":["new"]}`), glassq.Schema("")
	for _, tt := range []struct {
		name string
		then *glassq.Schema
		body string
		want glassq.Code // "" for stored
	}{
		{"agrees with the old one only", &now, `{"old":1}`, glassq.CodeSchema},
		{"agrees with the new one only", &now, `{"new":1}`, ""},
		{"the schema is gone", &none, `{}`, ""},
		{"the schema stands", nil, `{}`, glassq.CodeSchema},
	} {
		for use, name := range []string{"at the owner", "at another gateway"} {
			t.Run(tt.name+" "+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := newSystem(t, clustertest.Options{}, 2, 0)
					defer s.Close(t)
					ctx := t.Context()
					var brokers []*broker.Broker
					for _, g := range s.gateways {
						b, err := broker.NewWithSchemas(ctx, g, glassq.Limits{}, schema.Compile)
						if err != nil {
							t.Fatal(err)
						}
						brokers = append(brokers, b)
					}
					b, other := brokers[use], brokers[1-use]
					if _, err := b.Configure(ctx, "q", glassq.SettingsChange{ResultSchema: &old}); err != nil {
						t.Fatal(err)
					}
					if tt.then != nil {
						if _, err := other.Configure(ctx, "q", glassq.SettingsChange{ResultSchema: tt.then}); err != nil {
							t.Fatal(err)
						}
					}
					if _, err := b.Put(ctx, []glassq.Task{{Queue: "q"}, {Queue: "q"}}); err != nil {
						t.Fatal(err)
					}
					ls, err := b.Reserve(ctx, glassq.Reserve{Queue: "q", Max: 2})
					if err != nil || len(ls) != 2 {
						t.Fatalf("reserve = %v, %v", ls, err)
					}
					ack := func(l glassq.Lease) glassq.Ack {
						return glassq.Ack{Token: l.Token(), Result: &glassq.Task{Body: []byte(tt.body), Type: glassq.TypeJSON}}
					}
					errs, err := b.Ack(ctx, []glassq.Ack{ack(ls[0])})
					if err != nil {
						t.Fatal(err)
					}
					errs = append(errs, b.AckWait(ctx, ack(ls[1]), -1))
					if slices.ContainsFunc(errs, func(err error) bool {
						return tt.want == "" && err != nil || tt.want != "" && glassq.CodeOf(err) != tt.want
					}) {
						t.Errorf("acks = %v, want code %q", errs, tt.want)
					}
				})
			})
		}
	}
}
