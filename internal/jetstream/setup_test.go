package jetstream_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/cluster"
	"github.com/glassq/glassq/internal/jetstream"
	"github.com/glassq/glassq/internal/jetstream/natstest"
	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, url string
		want      jetstream.Location
		shown     string
		bad       string // what the error says
	}{
		{"one host", "nats://a", jetstream.Location{Servers: []string{"nats://a"}, Name: "main", Replicas: 3}, "nats://a/main", ""},
		{"three hosts and a name", "nats://a:1,b:2,c:3/mine",
			jetstream.Location{Servers: []string{"nats://a:1", "nats://b:2", "nats://c:3"}, Name: "mine", Replicas: 3},
			"nats://a:1,b:2,c:3/mine", ""},
		{"a password", "nats://u:p%40ss@a:1,b:2/x",
			jetstream.Location{Servers: []string{"nats://u:p%40ss@a:1", "nats://u:p%40ss@b:2"}, Name: "x", Replicas: 3},
			"nats://a:1,b:2/x", ""},
		{"settings", "nats://a/x?replicas=1&max_bytes=20GiB&creds=/c&ca=/a&cert=/b&key=/k",
			jetstream.Location{Servers: []string{"nats://a"}, Name: "x", Replicas: 1, MaxBytes: 20 << 30, Creds: "/c", CA: "/a",
				Cert: "/b", Key: "/k"}, "nats://a/x", ""},
		{"an IPv6 address", "nats://[::1]:4222/x",
			jetstream.Location{Servers: []string{"nats://[::1]:4222"}, Name: "x", Replicas: 3}, "nats://[::1]:4222/x", ""},
		{"no host", "nats:///x", jetstream.Location{}, "", "is no host and port"},
		{"an empty host", "nats://a,,b/x", jetstream.Location{}, "", "is no host and port"},
		{"a port that is none", "nats://a:x/x", jetstream.Location{}, "", "is no host and port"},
		{"a bad name", "nats://a/x.y", jetstream.Location{}, "", "the name of a store"},
		{"another scheme", "http://a/x", jetstream.Location{}, "", "begins with nats://"},
		{"an unknown setting", "nats://a/x?replica=1", jetstream.Location{}, "", `"replica" is none of`},
		{"too many copies", "nats://a/x?replicas=9", jetstream.Location{}, "", "is not 1 to 5"},
		{"no size", "nats://a/x?max_bytes=lots", jetstream.Location{}, "", "is not a size"},
		{"a certificate without a key", "nats://a/x?cert=c", jetstream.Location{}, "", "go together"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := jetstream.Parse(tt.url)
			if tt.bad != "" {
				if glassq.CodeOf(err) != glassq.CodeBadRequest || !strings.Contains(err.Error(), tt.bad) {
					t.Errorf("Parse = %v, want bad_request with %q", err, tt.bad)
				}
				return
			}
			if err != nil || got.String() != tt.shown || !reflect.DeepEqual(got, tt.want) {
				t.Errorf("Parse = %+v (%s), %v; want %+v (%s)", got, got, err, tt.want, tt.shown)
			}
		})
	}
}

// manager is a client of the servers that has all rights.
func manager(t *testing.T, url string) natsjs.JetStream {
	t.Helper()
	nc, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := natsjs.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

// opened opens a ground and waits for no more than what is said first.
func opened(t *testing.T, url string, opt jetstream.Options) (said string, err error) {
	t.Helper()
	at, err := jetstream.Parse(url)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(patience(t))
	defer cancel()
	var lines bytes.Buffer
	opt.Logger = slog.New(slog.NewTextHandler(waiter{&lines, cancel}, nil))
	g, err := jetstream.Open(ctx, at, opt)
	if err == nil {
		g.Close()
	}
	return lines.String(), err
}

// A waiter ends what waits once it has said so.
type waiter struct {
	to     *bytes.Buffer
	cancel func()
}

func (w waiter) Write(line []byte) (int, error) {
	if bytes.Contains(line, []byte("is tried again")) {
		w.cancel()
	}
	return w.to.Write(line)
}

// TestForeign: what stands where a store would be is refused with the setting and the cure, or
// warned of.
func TestForeign(t *testing.T) {
	t.Parallel()
	c := servers(t)
	js := manager(t, "nats://"+c.Nodes[0].Addr)
	ours := map[string]string{"glassq-format": "1"}
	for _, tt := range []struct {
		name   string
		stream func(*natsjs.StreamConfig)
		want   string // in the error, or in what is said when there is none
		code   glassq.Code
	}{
		{"others", func(c *natsjs.StreamConfig) { c.Metadata = nil }, "was made by something else", glassq.CodeBadRequest},
		{"newer", func(c *natsjs.StreamConfig) { c.Metadata = map[string]string{"glassq-format": "2"} }, "use a newer one", glassq.CodeDamaged},
		{"memory", func(c *natsjs.StreamConfig) { c.Storage = natsjs.MemoryStorage }, "has storage Memory and a store needs File", glassq.CodeBadRequest},
		{"async", func(c *natsjs.StreamConfig) { c.Replicas, c.PersistMode = 1, natsjs.AsyncPersistMode }, "has persist_mode Async", glassq.CodeBadRequest},
		{"old", func(c *natsjs.StreamConfig) { c.Discard, c.MaxBytes = natsjs.DiscardOld, 1<<20 }, "nats stream edit GLASSQ_old_0 --discard=new", glassq.CodeBadRequest},
		{"age", func(c *natsjs.StreamConfig) { c.MaxAge = time.Hour }, "max_age 1h0m0s", glassq.CodeBadRequest},
		{"count", func(c *natsjs.StreamConfig) { c.MaxMsgs = 10 }, "max_msgs 10 and a store needs none", glassq.CodeBadRequest},
		{"work", func(c *natsjs.StreamConfig) { c.Retention = natsjs.WorkQueuePolicy }, "has retention WorkQueue", glassq.CodeBadRequest},
		{"subjects", func(c *natsjs.StreamConfig) { c.Subjects = []string{"glassq.subjects.>"} }, "--subjects=glassq.subjects.0.log", glassq.CodeBadRequest},
		{"nopurge", func(c *natsjs.StreamConfig) { c.DenyPurge = true }, "deny_purge true", glassq.CodeBadRequest},
		{"one", func(c *natsjs.StreamConfig) { c.Replicas = 1 }, "one copy", ""},
		{"indirect", func(c *natsjs.StreamConfig) { c.AllowDirect = false }, "--allow-direct", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := natsjs.StreamConfig{Name: "GLASSQ_" + tt.name + "_0", Subjects: []string{"glassq." + tt.name + ".0.log"},
				Replicas: 3, Discard: natsjs.DiscardNew, AllowDirect: true, Metadata: ours}
			tt.stream(&cfg)
			if _, err := js.CreateStream(patience(t), cfg); err != nil {
				t.Fatal(err)
			}
			said, err := opened(t, c.URL(tt.name), jetstream.Options{AcceptLazySync: true})
			if glassq.CodeOf(err) != tt.code && (err != nil || tt.code != "") {
				t.Fatalf("open = %v, want code %q", err, tt.code)
			}
			if err != nil {
				said = err.Error()
			}
			if !strings.Contains(said, tt.want) {
				t.Errorf("it says %q, want %q in it", said, tt.want)
			}
		})
	}
}

// TestChanged: whoever changes the stream under a gateway to what a start refuses is told by it, with the cure.
func TestChanged(t *testing.T) {
	t.Parallel()
	c := servers(t)
	at, err := jetstream.Parse(c.URL("changed"))
	if err != nil {
		t.Fatal(err)
	}
	said := make(lines, 100)
	log := slog.New(slog.NewTextHandler(said, nil))
	g, err := jetstream.Open(patience(t), at, jetstream.Options{AcceptLazySync: true, Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	s, err := cluster.Open(patience(t), g.Ground(), cluster.Options{Beat: beat, Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Put(patience(t), []glassq.Task{{Queue: "q"}}); err != nil {
		t.Fatal(err)
	}
	js := manager(t, "nats://"+c.Nodes[0].Addr)
	stream, err := js.Stream(patience(t), "GLASSQ_changed_0")
	if err != nil {
		t.Fatal(err)
	}
	set := stream.CachedInfo().Config
	edit := func(want string, change func(*natsjs.StreamConfig)) {
		t.Helper()
		cfg := set
		change(&cfg)
		if _, err := js.UpdateStream(patience(t), cfg); err != nil {
			t.Fatal(err)
		}
		said.await(t, want)
	}
	edit("nats stream edit GLASSQ_changed_0 --discard=new", func(c *natsjs.StreamConfig) { c.Discard, c.MaxBytes = natsjs.DiscardOld, 1<<20 })
	edit("is set as it must be again", func(*natsjs.StreamConfig) {})
	edit("nats stream edit GLASSQ_changed_0 --max-msg-size=-1", func(c *natsjs.StreamConfig) { c.MaxMsgSize = 4 << 10 })
	go s.Put(patience(t), []glassq.Task{{Queue: "q", Body: make([]byte, 8<<10)}}) // ends with the store
	said.await(t, "which says: message size exceeds maximum allowed")
	edit("is set as it must be again", func(*natsjs.StreamConfig) {})
}

// lines takes what is logged.
type lines chan string

func (l lines) Write(line []byte) (int, error) {
	select {
	case l <- string(line):
	default: // nobody waits for so much
	}
	return len(line), nil
}

// await waits for a line that says text.
func (l lines) await(t *testing.T, text string) {
	t.Helper()
	for late := patience(t); ; {
		select {
		case line := <-l:
			if strings.Contains(line, text) {
				return
			}
		case <-late.Done():
			t.Fatalf("it does not say %q", text)
		}
	}
}

// TestDeleted: a store of which a part was deleted is not made anew.
func TestDeleted(t *testing.T) {
	t.Parallel()
	c := servers(t)
	js := manager(t, "nats://"+c.Nodes[0].Addr)
	for _, tt := range []struct{ name, stream, want string }{
		{"nolog", "GLASSQ_nolog_0", "there is no log"},
		{"nohints", "KV_GLASSQ_nohints", "which says what store it is of, was deleted"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel() // each takes the time after which it is believed
			g := open(t, c, tt.name)
			s, err := cluster.Open(patience(t), g.Ground(), cluster.Options{Beat: beat})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.Put(patience(t), []glassq.Task{{Queue: "q"}}); err != nil {
				t.Fatal(err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if err := js.DeleteStream(patience(t), tt.stream); err != nil {
				t.Fatal(err)
			}
			at, err := jetstream.Parse(c.URL(tt.name))
			if err != nil {
				t.Fatal(err)
			}
			again, err := jetstream.Open(patience(t), at, jetstream.Options{AcceptLazySync: true})
			if err == nil {
				defer again.Close()
				_, err = cluster.Open(patience(t), again.Ground(), cluster.Options{Beat: beat})
			}
			if glassq.CodeOf(err) != glassq.CodeDamaged || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("open = %v, want code damaged and %q", err, tt.want)
			}
		})
	}
}

// TestGone: a log that is deleted under a gateway ends it.
func TestGone(t *testing.T) {
	t.Parallel()
	c := servers(t)
	s, err := cluster.Open(patience(t), open(t, c, "gone").Ground(), cluster.Options{Beat: beat})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Put(patience(t), []glassq.Task{{Queue: "q"}}); err != nil {
		t.Fatal(err)
	}
	if err := manager(t, "nats://"+c.Nodes[0].Addr).DeleteStream(patience(t), "GLASSQ_gone_0"); err != nil {
		t.Fatal(err)
	}
	go s.Put(patience(t), []glassq.Task{{Queue: "q"}}) // ends with the store
	select {
	case <-s.Failed():
	case <-patience(t).Done():
		t.Fatal("the gateway goes on")
	}
	if err := s.Failure(); glassq.CodeOf(err) != glassq.CodeDamaged || !strings.Contains(err.Error(), "deleted") {
		t.Errorf("failure = %v, want damaged: deleted", err)
	}
}

// TestGoneHints: hints that are deleted under a gateway which does not own the store end it: it could
// never take over.
func TestGoneHints(t *testing.T) {
	t.Parallel()
	c := servers(t)
	owner, err := cluster.Open(patience(t), open(t, c, "gonehints").Ground(), cluster.Options{Beat: beat})
	if err != nil {
		t.Fatal(err)
	}
	defer owner.Close()
	if _, err := owner.Put(patience(t), []glassq.Task{{Queue: "q"}}); err != nil {
		t.Fatal(err)
	}
	other, err := cluster.Open(patience(t), open(t, c, "gonehints").Ground(), cluster.Options{Beat: beat})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if _, err := other.Put(patience(t), []glassq.Task{{Queue: "q"}}); err != nil {
		t.Fatal(err)
	}
	if err := manager(t, "nats://"+c.Nodes[0].Addr).DeleteStream(patience(t), "KV_GLASSQ_gonehints"); err != nil {
		t.Fatal(err)
	}
	select {
	case <-other.Failed():
	case <-patience(t).Done():
		t.Fatal("the gateway goes on")
	}
	if err := other.Failure(); glassq.CodeOf(err) != glassq.CodeDamaged || !strings.Contains(err.Error(), "this gateway has seen message") {
		t.Errorf("failure = %v, want damaged, and what it has seen", err)
	}
	if _, err := owner.Put(patience(t), []glassq.Task{{Queue: "q"}}); err != nil {
		t.Errorf("the owner, whose log is whole, does not go on: %v", err)
	}
}

// TestRefusals: one server with several accounts, for what a single server and rights refuse.
func TestRefusals(t *testing.T) {
	t.Parallel()
	servers(t) // says what is missing
	one := natstest.New(t, 1, natstest.Options{Lazy: true, More: `
accounts {
 full: { jetstream: enabled, users: [{user: full, password: x},
  {user: few, password: x, permissions: {publish: {deny: ["$JS.API.STREAM.CREATE.>"]}}},
  {user: deaf, password: x, permissions: {subscribe: {deny: ["_INBOX.>"]}}}] }
 none: { users: [{user: none, password: x}] }
}`})
	host := one.Nodes[0].Addr
	monitor := one.Monitors()
	small := natstest.New(t, 1, natstest.Options{More: "max_payload: 32KB\n"})
	for _, tt := range []struct {
		name, url string
		opt       jetstream.Options
		code      glassq.Code
		want      string
	}{
		{"a wrong password", "nats://full:y@" + host + "/x?replicas=1", jetstream.Options{}, glassq.CodeUnauthorized, "refuse the user"},
		{"no user", "nats://" + host + "/x?replicas=1", jetstream.Options{}, glassq.CodeUnauthorized, "refuse the user"},
		{"an account without JetStream", "nats://none:x@" + host + "/x?replicas=1", jetstream.Options{}, glassq.CodeBadRequest, "has no JetStream"},
		{"a right to publish lacks", "nats://few:x@" + host + "/x?replicas=1", jetstream.Options{AcceptLazySync: true}, glassq.CodeForbidden, "$JS.API.STREAM.CREATE"},
		{"a right to subscribe lacks", "nats://deaf:x@" + host + "/x?replicas=1", jetstream.Options{AcceptLazySync: true}, glassq.CodeForbidden, "_INBOX"},
		{"three copies on one server", "nats://full:x@" + host + "/x", jetstream.Options{AcceptLazySync: true}, glassq.CodeBadRequest, "is a single server"},
		{"nobody knows how it syncs", "nats://full:x@" + host + "/x?replicas=1", jetstream.Options{}, glassq.CodeBadRequest, "--nats-monitor"},
		{"it syncs lazily", "nats://full:x@" + host + "/x?replicas=1", jetstream.Options{Monitors: monitor}, glassq.CodeBadRequest, "syncs every 2m0s"},
		{"the monitor does not answer", "nats://full:x@" + host + "/x?replicas=1", jetstream.Options{Monitors: []string{"http://" + host}}, glassq.CodeBadRequest, "the monitoring port"},
		{"messages are too small", small.URL("x") + "?replicas=1", jetstream.Options{AcceptLazySync: true}, glassq.CodeBadRequest, "max_payload"},
		{"a file of credentials lacks", "nats://" + host + "/x?creds=/no/such/file", jetstream.Options{}, glassq.CodeBadRequest, "/no/such/file"},
		{"a file of authorities lacks", "nats://" + host + "/x?ca=/no/such/file", jetstream.Options{}, glassq.CodeBadRequest, "/no/such/file"},
		{"all is well", "nats://full:x@" + host + "/x?replicas=1", jetstream.Options{AcceptLazySync: true}, "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := opened(t, tt.url, tt.opt)
			if tt.code == "" {
				if err != nil {
					t.Errorf("open = %v", err)
				}
				return
			}
			if glassq.CodeOf(err) != tt.code || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("open = %v, want code %s and %q", err, tt.code, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), ":x@") {
				t.Errorf("the password is told: %v", err)
			}
		})
	}
	one.Stop()
	said, err := opened(t, one.URL("x"), jetstream.Options{})
	if !errors.Is(err, context.Canceled) || !strings.Contains(said, "no server of nats://"+host+"/x answers") {
		t.Errorf("open of nothing = %v, and it says %q", err, said)
	}
}

// TestByHand: a single message of the log cannot be deleted, and a log that was purged is refused by
// the gateway that reads it next.
func TestByHand(t *testing.T) {
	t.Parallel()
	c := servers(t)
	js := manager(t, "nats://"+c.Nodes[0].Addr)
	g := open(t, c, "byhand")
	s, err := cluster.Open(patience(t), g.Ground(), cluster.Options{Beat: beat})
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		if _, err := s.Put(patience(t), []glassq.Task{{Queue: "q", Body: []byte("kept")}}); err != nil {
			t.Fatal(err)
		}
	}
	stream, err := js.Stream(patience(t), "GLASSQ_byhand_0")
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.DeleteMsg(patience(t), 2); err == nil {
		t.Error("a message of the log can be deleted")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := stream.Purge(patience(t)); err != nil {
		t.Fatal(err)
	}
	again, err := cluster.Open(patience(t), open(t, c, "byhand").Ground(), cluster.Options{Beat: beat})
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	select {
	case <-again.Failed():
	case <-patience(t).Done():
		t.Fatal("the gateway goes on")
	}
	if err := again.Failure(); glassq.CodeOf(err) != glassq.CodeDamaged || !strings.Contains(err.Error(), "the log begins with message") {
		t.Errorf("failure = %v, want damaged, and where the log begins", err)
	}
}

// TestOldServer: a server that is too old is refused with its version and the one that is needed.
func TestOldServer(t *testing.T) {
	t.Parallel()
	_, err := opened(t, "nats://"+natstest.Deaf(t, "2.10.27")+"/x?replicas=1", jetstream.Options{AcceptLazySync: true})
	for _, want := range []string{"deaf", "NATS 2.10.27", "update it to 2.11"} {
		if glassq.CodeOf(err) != glassq.CodeBadRequest || !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("open = %v, want bad_request with %q", err, want)
		}
	}
}

// TestClocksApart: clocks that differ by more than a second are a finding.
func TestClocksApart(t *testing.T) {
	t.Parallel()
	servers(t) // says what is missing
	one := natstest.New(t, 1, natstest.Options{})
	at, err := jetstream.Parse(one.URL("x") + "?replicas=1")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		off    time.Duration
		differ bool
	}{
		{"alike", 0, false},
		{"ahead", time.Hour, true},
		{"behind", -time.Hour, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			monitor := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
				fmt.Fprintf(rw, `{"server_id":"a","now":%q,"config":{"sync_always":true}}`, time.Now().Add(tt.off).Format(time.RFC3339Nano))
			}))
			defer monitor.Close()
			found := jetstream.Examine(patience(t), at, jetstream.Options{Monitors: []string{monitor.URL}})
			i := slices.IndexFunc(found, func(f jetstream.Finding) bool { return f.What == "clock" })
			if (i >= 0) != tt.differ || i >= 0 && (found[i].Level != "warn" || !strings.Contains(found[i].Text, "run a time service")) {
				t.Errorf("found %+v; clocks that differ: %v", found, tt.differ)
			}
		})
	}
}
