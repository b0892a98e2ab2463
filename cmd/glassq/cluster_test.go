package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/jetstream/natstest"
)

// TestClusterStore: a gateway to a store on NATS serves, its archive becomes a store of either kind,
// and doctor says how the servers are.
func TestClusterStore(t *testing.T) {
	if testing.Short() {
		t.Skip("left out by -short: a NATS server is slow beside the race detector")
	}
	nats := natstest.New(t, 1, natstest.Options{})
	lazy := natstest.New(t, 1, natstest.Options{Lazy: true})
	monitor := nats.Monitors()[0]
	dir := t.TempDir()
	url := func(name string) string { return nats.URL(name) + "?replicas=1" }
	s := start(t, nil, "serve", "--store", url("main"), "--nats-monitor", monitor, "--http", "127.0.0.1:0", "--memcached", "off",
		"--data", filepath.Join(dir, "own"))
	server := "http://" + s.addr()
	archive := filepath.Join(dir, "a.gqa")
	done := func(want string, args ...string) {
		t.Helper()
		out, errs, code := invoke(t, "", nil, args...)
		if code != 0 || !strings.Contains(out, want) {
			t.Fatalf("%q: exit %d: %s%s; want 0 and %q", args, code, out, errs, want)
		}
	}
	done("", "put", "one", "--server", server)
	done("", "put", "two", "--server", server)
	done("one", "get", "--server", server)
	done("1 task", "backup", "--server", server, "--archive", archive)
	text, err := os.ReadFile(archive)
	if err != nil {
		t.Fatal(err)
	}
	half := filepath.Join(dir, "half.gqa")
	if err := os.WriteFile(half, text[:len(text)-3], 0o600); err != nil {
		t.Fatal(err)
	}
	if _, errs, code := invoke(t, "", nil, "restore", half, "--store", url("copy"), "--nats-monitor", monitor); code != exitStorage || !strings.Contains(errs, "cut short") {
		t.Errorf("a restore of a part of an archive: exit %d: %s; want %d", code, errs, exitStorage)
	}
	done("1 task", "restore", archive, "--store", url("copy"), "--nats-monitor", monitor)
	done("1 task", "restore", archive, "--data", filepath.Join(dir, "folder"))
	again := start(t, nil, "serve", "--store", url("copy"), "--http", "127.0.0.1:0", "--memcached", "off")
	done("two", "get", "--server", "http://"+again.addr())

	for _, tt := range []struct {
		name string
		args []string
		code int
		has  string
	}{
		{"a doctor", []string{"doctor", "--store", url("main"), "--nats-monitor", monitor, "--server", server}, 0, "what they confirm is synced by 1 server"},
		{"a doctor of streams", []string{"doctor", "--store", url("main")}, 0, "stream GLASSQ_main_0: "},
		{"a doctor who cannot see", []string{"doctor", "--store", url("main")}, 0, "warn  sync     it is not known"},
		{"a doctor of one copy", []string{"doctor", "--store", url("main")}, 0, "the log has 1 copy"},
		{"a doctor of one gateway", []string{"doctor", "--store", url("main"), "--server", server}, 0, "ok    gateways 1 gateway, set alike"},
		{"a doctor of a lazy server", []string{"doctor", "--store", lazy.URL("main"), "--nats-monitor", lazy.Monitors()[0]}, exitUnexpected, "FAIL  sync     the server at " + lazy.Monitors()[0] + " syncs every 2m0s"},
		{"a doctor of nobody", []string{"doctor", "--store", "nats://" + freeAddress(t) + "/main"}, exitUnexpected, "FAIL  nats     no server of"},
		{"a lazy server", []string{"serve", "--store", lazy.URL("main") + "?replicas=1", "--nats-monitor", lazy.Monitors()[0]}, exitUsage, "--accept-lazy-sync"},
		{"a sync mode", []string{"serve", "--store", url("main"), "--sync", "always"}, exitUsage, "--sync is of a disk"},
		{"room of a disk", []string{"serve", "--store", url("main"), "--min-free", "1GiB"}, exitUsage, "--min-free is of a disk"},
		{"a folder of queues", []string{"serve", "--store", url("main"), "--data", filepath.Join(dir, "folder")}, exitUsage, "holds queues of its own"},
		{"a bad URL", []string{"serve", "--store", "nats://a/b.c"}, exitUsage, "the name of a store"},
		{"a restore over a store", []string{"restore", archive, "--store", url("main")}, exitUsage, "there is a store already"},
		{"a copy of files", []string{"backup", "--server", server, filepath.Join(dir, "files")}, exitUnexpected, "glassq backup --archive"},
		{"a restore of a folder", []string{"restore", filepath.Join(dir, "folder"), "--store", url("x")}, exitUsage, "only an archive"},
		{"a restore to two places", []string{"restore", archive, "--store", url("x"), "--data", dir}, exitUsage, "two places"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.args[0] == "serve" { // the usual addresses may be in use
				tt.args = append(tt.args, "--http", "127.0.0.1:0", "--memcached", "off", "--manager", "off")
			}
			out, errs, code := invoke(t, "", nil, tt.args...)
			if code != tt.code || !strings.Contains(out+errs, tt.has) {
				t.Errorf("exit %d: %s%s; want %d and %q", code, out, errs, tt.code, tt.has)
			}
		})
	}

	key := filepath.Join(dir, "key")
	if err := os.WriteFile(key, []byte("0123456789abcdef0123456789abcdef\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	other := "http://" + start(t, nil, "serve", "--store", url("main"), "--http", "127.0.0.1:0", "--memcached", "off", "--key-file", key).addr()
	_, errs, code := invoke(t, "", nil, "backup", "--server", other, "--key-file", key, "--archive", filepath.Join(dir, "b.gqa"))
	if code != exitServer || !strings.Contains(errs, "the server at "+other+" answers: ") || !strings.Contains(errs, ", on host ") {
		t.Errorf("a backup at a gateway that does not own the store: exit %d: %s; want %d, who answers, and whom to ask", code, errs, exitServer)
	}
	for until := time.Now().Add(time.Minute); ; { // it is heard of in a moment
		out, errs, code := invoke(t, "", nil, "doctor", "--store", url("main"), "--server", server)
		if code == exitUnexpected && strings.Contains(out, "FAIL  gateways --key-file is not the same at all gateways") {
			break
		}
		if time.Now().After(until) {
			t.Fatalf("doctor of two gateways, one with a key: exit %d: %s%s", code, out, errs)
		}
	}

	s.cmd.Process.Signal(os.Interrupt)
	if code := s.ends(); code != 0 {
		t.Errorf("serve ended with %d; want 0", code)
	}
	if _, err := os.Stat(filepath.Join(dir, "own", "seen")); err != nil {
		t.Errorf("the gateway keeps nothing of the log: %v", err)
	}
}

// TestClusterRefusals: what a gateway refuses to start on ends with a sentence, the cure and the exit code of its
// kind. Of the bad input of a store on NATS the rest is shown by
//
//	no server reachable: it waits, and says so  TestRefusals of internal/jetstream, and of no server TestClusterStore
//	credentials, rights with their subject      TestRefusals, TestRights of internal/jetstream
//	JetStream off, fewer peers than replicas    TestRefusals
//	one copy (a warning)                        TestForeign, TestClusterStore
//	a stream made by others, other settings     TestForeign (each setting with both values and the command)
//	a stream or bucket deleted under it         TestGone, TestGoneHints, TestDeleted, TestByHand; TestLost of internal/cluster
//	a log behind its witness, a broken chain    TestLost, TestAnotherStore, TestRemembered of internal/cluster
//	a server older than 2.11, clocks apart      TestOldServer, TestClocksApart of internal/jetstream
//	a newer format                              TestForeign
//	max_payload                                 TestRefusals; a body over one message goes in parts, TestLog
//	a full log, a full account                  TestFull, TestAccountFull of internal/jetstream; TestFull of internal/cluster
//	--sync, --min-free with a store on NATS     TestClusterStore
func TestClusterRefusals(t *testing.T) {
	if testing.Short() {
		t.Skip("left out by -short: a NATS server is slow beside the race detector")
	}
	nats := natstest.New(t, 1, natstest.Options{More: `
accounts {
 full: { jetstream: enabled, users: [{user: full, password: x},
  {user: few, password: x, permissions: {publish: {deny: ["$JS.API.STREAM.CREATE.>"]}}}] }
 none: { users: [{user: none, password: x}] }
}`})
	host, monitor, dir := nats.Nodes[0].Addr, nats.Monitors()[0], t.TempDir()
	own := filepath.Join(dir, "own")
	url := func(user, name string) string { return "nats://" + user + "@" + host + "/" + name + "?replicas=1" }
	s := start(t, nil, "serve", "--store", url("full:x", "seen"), "--nats-monitor", monitor, "--http", "127.0.0.1:0",
		"--memcached", "off", "--data", own)
	if out, errs, code := invoke(t, "", nil, "put", "one", "--server", "http://"+s.addr()); code != 0 {
		t.Fatalf("put: exit %d: %s%s", code, out, errs)
	}
	s.cmd.Process.Signal(os.Interrupt)
	if code := s.ends(); code != 0 {
		t.Fatalf("serve ended with %d; want 0", code)
	}
	// A gateway that has seen more of the log than there is.
	text, err := os.ReadFile(filepath.Join(own, "seen"))
	if err != nil {
		t.Fatal(err)
	}
	var seen map[string]any
	if err := json.Unmarshal(text, &seen); err != nil {
		t.Fatal(err)
	}
	seen["number"] = 1 << 20
	if text, err = json.Marshal(seen); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(own, "seen"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		args []string
		code int
		has  []string // what is wrong, and what to do
	}{
		{"a wrong password", []string{"--store", url("full:y", "x")}, exitServer, []string{"refuse the user", host}},
		{"no user", []string{"--store", "nats://" + host + "/x?replicas=1"}, exitServer, []string{"refuse the user"}},
		{"a right that lacks", []string{"--store", url("few:x", "x"), "--nats-monitor", monitor}, exitServer, []string{"lacks a right", "$JS.API.STREAM.CREATE.KV_GLASSQ_x"}},
		{"no JetStream", []string{"--store", url("none:x", "x")}, exitUsage, []string{"has no JetStream", "switch it on"}},
		{"three copies on one server", []string{"--store", "nats://full:x@" + host + "/x", "--nats-monitor", monitor}, exitUsage, []string{"is a single server", "replicas=1"}},
		{"nobody knows how it syncs", []string{"--store", url("full:x", "x")}, exitUsage, []string{"--nats-monitor", "--accept-lazy-sync"}},
		{"a monitor that is none", []string{"--store", url("full:x", "x"), "--nats-monitor", "http://" + host}, exitUsage, []string{"the monitoring port", "--nats-monitor"}},
		{"a log behind its witness", []string{"--store", url("full:x", "seen"), "--data", own}, exitStorage, []string{"has seen message 1048576", "the log ends with message"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			args := append([]string{"serve", "--http", "127.0.0.1:0", "--memcached", "off", "--manager", "off"}, tt.args...)
			out, errs, code := invoke(t, "", nil, args...)
			for _, has := range tt.has {
				if code != tt.code || !strings.Contains(out+errs, has) {
					t.Errorf("exit %d: %s%s; want %d and %q", code, out, errs, tt.code, has)
				}
			}
		})
	}
}

// TestGatewaysAlike: doctor says what differs between gateways, and what cannot be known.
func TestGatewaysAlike(t *testing.T) {
	set := func(key, tokens, manager string) map[string]string {
		return map[string]string{"key-file": key, "token-file": tokens, "manager-key": manager}
	}
	for _, tt := range []struct {
		name string
		a, b map[string]string
		want string
	}{
		{"open", set("none", "none", ""), set("none", "none", ""), "ok    gateways 2 gateways, set alike\n"},
		{"with keys", set("set", "none", ""), set("set", "none", ""),
			"ok    gateways 2 gateways, set alike; they do not tell whether their keys are the same\n"},
		{"other tokens", set("none", "12ab", ""), set("none", "none", ""),
			"FAIL  gateways --token-file is not the same at all gateways (a 12ab, b none): a client that one lets in"},
		{"other keys of tasks", set("none", "none", "q=host "), set("none", "none", ""),
			"warn  gateways --manager-key is not the same at all gateways (a q=host, b none): tasks of Python programs"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out, err := os.Create(filepath.Join(t.TempDir(), "out"))
			if err != nil {
				t.Fatal(err)
			}
			defer out.Close()
			d := doctor{a: &app{out: out}}
			d.gateways([]glassq.GatewaySettings{{Host: "a", Settings: tt.a}, {Host: "b", Settings: tt.b}})
			if got, err := os.ReadFile(out.Name()); err != nil || !strings.HasPrefix(string(got), tt.want) {
				t.Errorf("doctor says %q, %v; want %q", got, err, tt.want)
			}
		})
	}
}
