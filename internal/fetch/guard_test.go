package fetch

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/glassq/glassq/result"
)

func TestGuardAddresses(t *testing.T) {
	tests := []struct {
		addr    string
		blocked bool
	}{
		{"127.0.0.1", true}, {"127.255.255.254", true}, {"0.0.0.0", true}, {"10.1.2.3", true}, {"172.16.0.1",
			true}, {"172.32.0.1", false},
		{"192.168.255.255", true}, {"169.254.169.254", true}, {"100.64.0.1", true}, {"100.100.100.200",
			true}, {"100.128.0.1", false},
		{"168.63.129.16", true}, {"192.0.0.192", true}, {"198.19.255.255", true}, {"192.0.2.1", true}, {"203.0.113.9", true},
		{"224.0.0.1", true}, {"255.255.255.255", true}, {"8.8.8.8", false}, {"1.1.1.1", false},
		{"::", true}, {"::1", true}, {"::ffff:127.0.0.1", true}, {"::ffff:8.8.8.8", false}, {"::127.0.0.1", true},
		{"fe80::1", true}, {"fe80::1%eth0", true}, {"fc00::1", true}, {"fd00:ec2::254", true}, {"fec0::1",
			true}, {"ff02::1", true},
		{"64:ff9b::7f00:1", true}, {"64:ff9b::a9fe:a9fe", true}, {"64:ff9b::808:808", false}, {"64:ff9b:1::808:808", true},
		{"2001::1", true}, {"2001:db8::1", true}, {"2002:7f00:1::", true}, {"3fff::1", true}, {"100::1", true}, {"5f00::1",
			true},
		{"2606:4700::1111", false}, {"2a00:1450:4001::1", false},
	}
	g := &guard{on: true}
	for _, tt := range tests {
		if err := g.check(netip.MustParseAddr(tt.addr)); (err != nil) != tt.blocked {
			t.Errorf("check(%s) = %v, want blocked %v", tt.addr, err, tt.blocked)
		}
	}
}

func TestGuardLists(t *testing.T) {
	tests := []struct {
		name        string
		opt         Options
		addr        string
		wantBlocked bool
	}{
		{"off", Options{}, "127.0.0.1", false},
		{"allowed", Options{Guard: true, AllowCIDR: []string{"127.0.0.0/8"}}, "127.0.0.1", false},
		{"allowed, as IPv6", Options{Guard: true, AllowCIDR: []string{"127.0.0.1"}}, "::ffff:127.0.0.1", false},
		{"allowed in IPv6 form", Options{Guard: true, AllowCIDR: []string{"::ffff:10.0.0.0/104"}}, "10.1.1.1", false},
		{"another is allowed", Options{Guard: true, AllowCIDR: []string{"10.0.0.0/8"}}, "127.0.0.1", true},
		{"allowed and denied", Options{Guard: true, AllowCIDR: []string{"10.0.0.0/8"}, DenyCIDR: []string{"10.0.0.5"}},
			"10.0.0.5", true},
		{"denied without the guard", Options{DenyCIDR: []string{"8.8.8.0/24"}}, "8.8.8.8", true},
		{"denied through NAT64", Options{DenyCIDR: []string{"8.8.8.0/24"}}, "64:ff9b::808:808", true},
		{"allowed through NAT64", Options{Guard: true, AllowCIDR: []string{"10.0.0.0/8"}}, "64:ff9b::a01:101", false},
		{"only that is denied", Options{DenyCIDR: []string{"8.8.8.0/24"}}, "127.0.0.1", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g, err := newGuard(&tt.opt)
			if err != nil {
				t.Fatal(err)
			}
			if err := g.check(netip.MustParseAddr(tt.addr)); (err != nil) != tt.wantBlocked {
				t.Errorf("check(%s) = %v, want blocked %v", tt.addr, err, tt.wantBlocked)
			}
		})
	}
	for _, bad := range []Options{{AllowCIDR: []string{"10/8"}}, {DenyCIDR: []string{"example.com"}},
		{DenyCIDR: []string{"fe80::1%eth0"}}, {AllowHost: []string{"*"}}, {AllowHost: []string{"http://x"}}} {
		if _, err := newGuard(&bad); err == nil {
			t.Errorf("newGuard(%+v) = nil, want an error", bad)
		}
	}
}

// The guard holds at the connection: for addresses in the URL, in odd forms, behind names, behind
// redirects and detours, in both engines, and no retry and no connection comes of it.
func TestGuardConnections(t *testing.T) {
	var asked atomic.Int32
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if to, ok := strings.CutPrefix(r.URL.Path, "/to/"); ok {
			w.Header().Set("Location", "http://"+to+"/")
			w.WriteHeader(302)
		}
	}))
	defer srv.Close()
	addr := srv.Listener.Addr().String()
	_, port, _ := net.SplitHostPort(addr)
	secret := "127.0.0.3:" + port // nobody listens there, but that must not be found out
	guarded := func(o Options) Options {
		o.Guard, o.Retries = true, 3
		return o
	}
	tests := []struct {
		name, task string
		opt        Options
		want       string
		asked      int32
	}{
		{"loopback", "http://" + addr, guarded(Options{}), result.ClassBlocked, 0},
		{"name", "http://localhost:" + port, guarded(Options{}), result.ClassBlocked, 0},
		{"mapped", "http://[::ffff:127.0.0.1]:" + port, guarded(Options{Engine: EngineStd}), result.ClassBlocked, 0},
		{"nat64", "http://[64:ff9b::7f00:1]:" + port, guarded(Options{Engine: EngineStd}), result.ClassBlocked, 0},
		{"metadata", "http://169.254.169.254/latest/meta-data/", guarded(Options{}), result.ClassBlocked, 0},
		{"https", "https://" + addr, guarded(Options{}), result.ClassBlocked, 0},
		{"detour", "http://example.com/", guarded(Options{ConnectTo: []string{"::127.0.0.1:" + port}}), result.ClassBlocked,
			0},
		{"off", "http://" + addr, Options{}, "", 1},
		{"allowed", "http://" + addr, guarded(Options{AllowCIDR: []string{"127.0.0.1"}}), "", 1},
		{"redirect", "http://" + addr + "/to/" + secret, guarded(Options{AllowCIDR: []string{"127.0.0.1"}, Redirects: 5}),
			result.ClassBlocked, 1},
		{"denied", "http://" + addr, Options{DenyCIDR: []string{"127.0.0.0/8"}, Retries: 2}, result.ClassBlocked, 0},
		{"another host", "http://" + addr, Options{AllowHost: []string{"*.example.com"}}, result.ClassBlocked, 0},
		{"this host", "http://" + addr, Options{AllowHost: []string{"example.com", "127.0.0.1"}}, "", 1},
		{"redirect to another host", "http://" + addr + "/to/localhost:" + port,
			Options{AllowHost: []string{"127.0.0.1"}, Redirects: 5}, result.ClassBlocked, 1},
	}
	for _, tt := range tests {
		for _, engine := range []string{EngineAuto, EngineStd} {
			t.Run(tt.name+"/"+engine, func(t *testing.T) {
				asked.Store(0)
				tt.opt.Engine = engine
				got, rec := once(t, tt.opt, tt.task)
				if got.Class != tt.want || asked.Load() != tt.asked || strings.Contains(rec, `"tries"`) {
					t.Errorf("%s, asked %d times; want %q, %d", rec, asked.Load(), tt.want, tt.asked)
				}
			})
		}
	}
}

func TestGuardHosts(t *testing.T) {
	g, err := newGuard(&Options{AllowHost: []string{"Example.com", "*.example.org", "[::1]"}})
	if err != nil {
		t.Fatal(err)
	}
	for host, ok := range map[string]bool{
		"example.com": true, "EXAMPLE.com:8080": true, "example.com.": true, "a.example.com": false, "example.org": false, "a.example.org": true,
		"a.b.example.org:1": true, "badexample.org": false, "[::1]:80": true, "[::1]": true, "[::2]": false,
		"example.com.evil.net": false,
	} {
		if err := g.host([]byte(host)); (err == nil) != ok {
			t.Errorf("host(%s) = %v, want allowed %v", host, err, ok)
		}
	}
}

// A name that answers with another address each time is looked at each time.
func TestGuardRebinding(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("left out: only Linux has all of 127.0.0.0/8 on its loopback")
	}
	ln, err := net.Listen("tcp", "127.0.0.2:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	srv.Listener = ln
	srv.Start()
	defer srv.Close()
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	for _, engine := range []string{EngineFast, EngineStd} {
		var lookups atomic.Int32
		f := newFetcher(t, Options{Engine: engine, Guard: true, AllowCIDR: []string{"127.0.0.2"}, NoKeepAlive: true})
		d := newDialer(f.guard)
		d.lookup = (&net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
			client, server := net.Pipe()
			go answerDNS(server, func() byte { return byte(1 + min(lookups.Add(1), 2)) })
			return client, nil
		}}).LookupNetIP
		f.connect = d.connect
		h := f.newHandler()
		url := "http://rebind.example.com.:" + port
		want := []string{"", result.ClassBlocked} // 127.0.0.2, then 127.0.0.3
		for i, class := range want {
			if got, rec := one(t, h, url); got.Class != class {
				t.Errorf("%s, request %d: %s, want %q", engine, i, rec, class)
			}
		}
		h.Close()
	}
}

// answerDNS answers one query over a stream with 127.0.0.<last()> if it is for an IPv4 address,
// else with nothing.
func answerDNS(c net.Conn, last func() byte) {
	defer c.Close()
	for {
		var size uint16
		if binary.Read(c, binary.BigEndian, &size) != nil {
			return
		}
		q := make([]byte, size)
		if _, err := io.ReadFull(c, q); err != nil {
			return
		}
		end := 12
		for q[end] != 0 {
			end += int(q[end]) + 1
		}
		end += 5 // the root, type and class
		a := append([]byte{}, q[:end]...)
		a[2], a[3] = 0x81, 0x80 // an answer, no error
		copy(a[6:12], make([]byte, 6))
		if q[end-3] == 1 { // type A
			a[7] = 1
			a = append(a, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 127, 0, 0, last())
		}
		c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(a))), a...))
	}
}

// With a proxy the guard would look at the proxy's address only, so that is refused.
func TestGuardProxy(t *testing.T) {
	for _, opt := range []Options{{Guard: true}, {DenyCIDR: []string{"10.0.0.0/8"}}} {
		opt.Proxy = "http://127.0.0.1:1"
		if _, err := New(opt); err == nil || !strings.Contains(err.Error(), "guard") {
			t.Errorf("New(%+v) = %v, want that the guard cannot be kept", opt, err)
		}
	}
	var asked string
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r.RequestURI + " " + r.Header.Get("Proxy-Authorization")
		fmt.Fprint(w, "hello")
	}))
	defer proxy.Close()
	url := strings.Replace(proxy.URL, "http://", "http://me:pw@", 1)
	got, rec := once(t, Options{Proxy: url}, "http://no-such-host.invalid/x")
	if !got.OK || got.Bytes != 5 || asked != "http://no-such-host.invalid/x Basic bWU6cHc=" {
		t.Errorf("%s, the proxy was asked for %q", rec, asked)
	}
}

// TestBlockedSaysWhy: whoever meets a guard hears which flag decides.
func TestBlockedSaysWhy(t *testing.T) {
	loopback := netip.MustParseAddr("127.0.0.1")
	for _, tt := range []struct {
		name string
		err  error
		want string
	}{
		{"private", (&guard{on: true}).check(loopback), "--allow-cidr RANGE lets it pass"},
		{"denied", (&guard{deny: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}).check(loopback), "--deny-cidr"},
		{"host", (&guard{hosts: []string{"a"}}).host([]byte("b:80")), "--allow-host"},
	} {
		if tt.err == nil || !strings.Contains(tt.err.Error(), tt.want) {
			t.Errorf("%s: %v; want it to name %q", tt.name, tt.err, tt.want)
		}
	}
}
