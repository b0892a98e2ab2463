package dashboard_test

import (
	"strings"
	"testing"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/cluster"
	"github.com/glassq/glassq/internal/cluster/clustertest"
)

// TestCluster: of a store of several machines the pages say who owns it and how its replicas are, and whose
// workers they show.
func TestCluster(t *testing.T) {
	world := clustertest.New(clustertest.Options{})
	var sites []*site
	for range 2 {
		store, err := cluster.Open(t.Context(), world.Join().Ground(), cluster.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { store.Close() })
		if _, err := store.Runs(t.Context()); err != nil { // so there is an owner
			t.Fatal(err)
		}
		sites = append(sites, newSiteOver(t, store, nil))
	}
	for i, want := range []string{"this gateway", ""} {
		is, err := sites[i].broker.Stats(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if want == "" {
			want = is.Cluster.Owner
		}
		if wantRole := []string{glassq.RoleOwner, glassq.RoleGateway}[i]; is.Cluster.Role != wantRole {
			t.Fatalf("gateway %d is %s, want %s", i, is.Cluster.Role, wantRole)
		}
		page, _ := sites[i].get("/")
		for _, text := range []string{"<dt>owner</dt><dd>" + want, "epoch 1", "<dt>replicas</dt>", "of this gateway, " + is.Cluster.Gateway} {
			if !strings.Contains(page, text) {
				t.Errorf("the overview of gateway %d lacks %q", i, text)
			}
		}
		if page, _ := sites[i].get("/workers"); !strings.Contains(page, "call this gateway, "+is.Cluster.Gateway) {
			t.Errorf("the workers of gateway %d do not say whose they are", i)
		}
	}
	if page, _ := newSite(t, nil).get("/"); strings.Contains(page, "gateway") {
		t.Error("the overview of a server with a store of its own speaks of gateways")
	}
}
