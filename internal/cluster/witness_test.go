package cluster_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/cluster"
	"github.com/glassq/glassq/internal/cluster/clustertest"
)

// TestLost: a log that is not what it was is refused, by a gateway that lived through it or by one
// that starts, with what is missing and who knows.
func TestLost(t *testing.T) {
	for _, tt := range []struct {
		name  string
		harm  func(w *clustertest.World)
		lives bool // the second gateway lived through it; else one starts afterwards
		file  bool // which finds a hint file
		want  string
	}{
		{"back, a gateway lived", func(w *clustertest.World) { w.Lose(w.Last() - 5) }, true, false, "this gateway has seen message"},
		{"back, with a hint file", func(w *clustertest.World) { w.Forget("shard.0"); w.Lose(w.Last() - 5) }, false, true,
			"hint file"},
		{"back, with a hint", func(w *clustertest.World) { w.Lose(w.Last() - 5) }, false, false, "has seen message"},
		{"back behind a checkpoint", func(w *clustertest.World) { w.Forget("shard.0"); w.Lose(w.Last() / 2) }, false, false,
			"there is a checkpoint of message"},
		{"all is gone, a gateway lived", func(w *clustertest.World) { w.Vanish() }, true, false, "this gateway has seen message"},
		{"all is gone, with a hint file", func(w *clustertest.World) { w.Vanish() }, false, true, "the log ends with message 0, and the hint file"},
		{"a message rotted everywhere", func(w *clustertest.World) {
			w.Spoil(w.Last()-1, func(b []byte) []byte { b[len(b)-1] ^= 1; return b })
		}, false, false, "its checksum is wrong"},
		{"a message is another one", func(w *clustertest.World) {
			_, all := w.Messages()
			w.Spoil(w.Last()-1, func([]byte) []byte { return all[len(all)-3] })
		}, false, false, "was written as"},
		{"all was purged by hand", func(w *clustertest.World) { w.Purge(w.Last() + 1) }, true, false, "was purged by somebody else"},
		{"all was purged by hand, a gateway starts", func(w *clustertest.World) { w.Purge(w.Last() + 1) }, false, false,
			"was purged by somebody else"},
		{"the newest was not purged", func(w *clustertest.World) { w.Purge(w.Last()) }, false, false, "was purged by somebody else"},
		{"back to a checkpoint and on", func(w *clustertest.World) {
			w.Forget("shard.0")
			names, n := w.Objects(), uint64(0)
			fmt.Sscanf(names[len(names)-1], "state-%020d-", &n)
			w.Lose(n)
			w.Spoil(n, forked)
		}, false, false, "is not the one that the checkpoint"},
		{"the log was deleted", func(w *clustertest.World) { w.Delete(true, false) }, true, false, "is not there any more"},
		{"the log was deleted, a gateway starts", func(w *clustertest.World) { w.Delete(true, false) }, false, false, "there is no log"},
		{"the checkpoints were deleted", func(w *clustertest.World) { w.Delete(false, true) }, false, false, "no checkpoint"},
		{"the hints were deleted", func(w *clustertest.World) { w.Forget("shard.0"); w.Forget("store") }, false, false,
			"nothing that says which store"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				world := clustertest.New(clustertest.Options{})
				opt := often(t)
				opt.Beat = 0
				var members []*clustertest.Member
				var gateways []*cluster.Store
				for i := range 2 {
					if i == 1 && tt.file {
						opt.HintFile = filepath.Join(t.TempDir(), "hint")
					}
					members = append(members, world.Join())
					g, err := cluster.Open(t.Context(), members[i].Ground(), opt)
					if err != nil {
						t.Fatal(err)
					}
					defer g.Close()
					gateways = append(gateways, g)
					putTo(t, g, fmt.Sprint("first ", i))
				}
				for i := range 200 { // so that there are checkpoints, and extents were freed
					putTo(t, gateways[1], fmt.Sprint(i))
					drained(t, gateways[1], "q")
				}
				time.Sleep(3 * time.Second) // signs of life, and the keeper
				for i := range 8 {
					putTo(t, gateways[1], fmt.Sprint("last ", i))
				}
				time.Sleep(3 * time.Second)
				for world.Last()-newest(t, world) <= 5 { // that it is lost would be said first
					putTo(t, gateways[1], "more")
					time.Sleep(3 * time.Second)
				}
				members[0].Kill()
				gateways[0].Abort()
				g := gateways[1]
				if !tt.lives {
					members[1].Kill()
					g.Abort()
				}
				tt.harm(world)
				var err error
				if !tt.lives {
					if g, err = cluster.Open(t.Context(), world.Join().Ground(), opt); err == nil {
						defer g.Close()
					}
				}
				if err == nil {
					_, err = g.Put(t.Context(), []glassq.Task{{Queue: "q"}})
					if err == nil || g.Failure() == nil {
						t.Fatalf("a put is answered by %v, and the gateway says %v; want what is lost", err, g.Failure())
					}
				}
				if glassq.CodeOf(err) != glassq.CodeDamaged || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("error %v, want code damaged and %q in it", err, tt.want)
				}
				t.Log(err)
			})
		})
	}
}

// TestAnotherStore: machines that lost everything are made a store anew by a gateway that knows of
// nothing. Those that do know hand it no call, and it goes on.
func TestAnotherStore(t *testing.T) {
	for _, tt := range []struct {
		name  string
		lives bool // the gateway lived through it; else it starts afterwards, and has a hint file
	}{{"a gateway lived", true}, {"a gateway with a hint file starts", false}} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				world := clustertest.New(clustertest.Options{})
				first, owner := join(t, world, often(t))
				putTo(t, owner, "first")
				opt := often(t)
				opt.HintFile = filepath.Join(t.TempDir(), "hint")
				_, g := join(t, world, opt)
				putTo(t, g, "second")
				time.Sleep(5 * time.Second) // signs of life
				first.Kill()
				owner.Abort()
				if !tt.lives {
					g.Abort()
				}
				world.Vanish()
				_, fresh := join(t, world, often(t))
				putTo(t, fresh, "third")
				var err error
				if !tt.lives {
					g, err = cluster.Open(t.Context(), world.Join().Ground(), opt)
				} else if _, err = g.Put(t.Context(), []glassq.Task{{Queue: "q"}}); err != nil {
					err = g.Failure()
				}
				if err == nil || !strings.Contains(err.Error(), "another store where that one was; remove "+opt.HintFile) || glassq.CodeOf(err) != glassq.CodeDamaged {
					t.Errorf("the gateway says %v; want damaged, and that there is another store", err)
				}
				t.Log(err)
				if g != nil {
					g.Close()
				}
				time.Sleep(5 * time.Second)
				if got := drained(t, fresh, "q"); fresh.Failure() != nil || len(got) != 1 {
					t.Errorf("the new store has the tasks %v, and says %v; want the one that was put into it", got, fresh.Failure())
				}
			})
		})
	}
}

// TestRemembered: a gateway that only hands its calls on keeps what it hears of the log in its hint
// file too: it may be the one that starts first when all have lost power.
func TestRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		world := clustertest.New(clustertest.Options{})
		opt := often(t)
		opt.Beat = 0
		_, owner := join(t, world, opt)
		putTo(t, owner, "first")
		opt.HintFile = filepath.Join(t.TempDir(), "hint")
		_, other := join(t, world, opt)
		for i := range 9 {
			putTo(t, other, fmt.Sprint(i))
		}
		time.Sleep(5 * time.Second) // signs of life
		text, err := os.ReadFile(opt.HintFile)
		var is struct{ Number uint64 }
		if err == nil {
			err = json.Unmarshal(text, &is)
		}
		if err != nil || is.Number != world.Last() {
			t.Errorf("the hint file says message %d, %v; want %d", is.Number, err, world.Last())
		}
	})
}

// newest is the message that the newest checkpoint is of.
func newest(t *testing.T, w *clustertest.World) (number uint64) {
	t.Helper()
	names := w.Objects()
	if len(names) == 0 {
		t.Fatal("there is no checkpoint")
	}
	if _, err := fmt.Sscanf(names[len(names)-1], "state-%020d-", &number); err != nil {
		t.Fatal(err)
	}
	return number
}

// TestFronted: the log is purged from its front only, and one task that waits for ever does not hold
// it.
func TestFronted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		world := clustertest.New(clustertest.Options{})
		opt := often(t)
		opt.ExtentBytes, opt.CheckpointEvery = 32<<10, 32<<10
		_, g := join(t, world, opt)
		if _, err := g.Put(t.Context(), []glassq.Task{{Queue: "ever", Body: []byte("waits")}}); err != nil {
			t.Fatal(err)
		}
		body := make([]byte, 1000)
		for i := range 1000 {
			if _, err := g.Put(t.Context(), []glassq.Task{{Queue: "q", Body: body}}); err != nil {
				t.Fatal(err)
			}
			drained(t, g, "q")
			if i%50 == 0 {
				time.Sleep(time.Second)
			}
		}
		time.Sleep(10 * time.Second)
		// Two checkpoints have to be past an extent, so two of them and the one that is filled stay.
		if n := world.Bytes(); n > 5*opt.ExtentBytes {
			t.Errorf("the log has %d bytes, with one task in it; want %d at most", n, 5*opt.ExtentBytes)
		}
		first, _ := world.Messages()
		t.Logf("the log begins with message %d and has %d bytes", first, world.Bytes())
		if n := len(world.Objects()); n != 2 {
			t.Errorf("there are %d checkpoints, want two", n)
		}
		ls, err := g.Reserve(t.Context(), glassq.Reserve{Queue: "ever", Max: 1})
		if err != nil || len(ls) != 1 || string(ls[0].Body) != "waits" {
			t.Errorf("the task that waits = %v, %v", ls, err)
		}
	})
}
