package fetch

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
)

// The guard keeps a worker from being sent to addresses that only it can reach. It looks at the
// address of every connection just before it is made, so it holds for what a name resolves to at
// that moment, for redirects, and for both engines. Allowed addresses win over what is built in,
// denied ones over both.
type guard struct {
	on    bool // the built-in list
	allow []netip.Prefix
	deny  []netip.Prefix
	hosts []string // names that may be asked, in lower case; a leading dot stands for all below; nil for any
}

// A blockedError says that the worker's own rules forbid an address or a host.
type blockedError struct {
	what string
	cure string // which flag decides
}

func (e *blockedError) Error() string { return e.what + " is not allowed by this worker; " + e.cure }

// active reports whether the guard has anything to say about addresses.
func (g *guard) active() bool { return g.on || len(g.deny) > 0 }

// A special is a range of addresses that are not those of public servers.
type special struct {
	prefix netip.Prefix
	name   string
}

// specials4 and specials6 follow the special-purpose registries of IANA. Metadata services lie in
// the link-local, shared, protocol and unique local ranges, one of them at a public address.
var (
	specials4 = []special{
		{netip.MustParsePrefix("0.0.0.0/8"), "this network"},
		{netip.MustParsePrefix("10.0.0.0/8"), "private"},
		{netip.MustParsePrefix("100.64.0.0/10"), "shared"},
		{netip.MustParsePrefix("127.0.0.0/8"), "loopback"},
		{netip.MustParsePrefix("168.63.129.16/32"), "metadata"},
		{netip.MustParsePrefix("169.254.0.0/16"), "link-local"},
		{netip.MustParsePrefix("172.16.0.0/12"), "private"},
		{netip.MustParsePrefix("192.0.0.0/24"), "protocol"},
		{netip.MustParsePrefix("192.0.2.0/24"), "documentation"},
		{netip.MustParsePrefix("192.88.99.0/24"), "relay"},
		{netip.MustParsePrefix("192.168.0.0/16"), "private"},
		{netip.MustParsePrefix("198.18.0.0/15"), "benchmark"},
		{netip.MustParsePrefix("198.51.100.0/24"), "documentation"},
		{netip.MustParsePrefix("203.0.113.0/24"), "documentation"},
		{netip.MustParsePrefix("224.0.0.0/4"), "multicast"},
		{netip.MustParsePrefix("240.0.0.0/4"), "reserved"},
	}
	specials6 = []special{
		{netip.MustParsePrefix("::1/128"), "loopback"},
		{netip.MustParsePrefix("fe80::/10"), "link-local"},
		{netip.MustParsePrefix("fc00::/7"), "private"},
		{netip.MustParsePrefix("ff00::/8"), "multicast"},
		{netip.MustParsePrefix("2001::/23"), "protocol"},
		{netip.MustParsePrefix("2001:db8::/32"), "documentation"},
		{netip.MustParsePrefix("2002::/16"), "relay"},
		{netip.MustParsePrefix("3fff::/20"), "documentation"},
	}
	global6 = netip.MustParsePrefix("2000::/3")
	nat64   = netip.MustParsePrefix("64:ff9b::/96")
)

// check returns a blockedError if no connection may be made to ip.
func (g *guard) check(ip netip.Addr) error {
	forms := forms(ip)
	for _, p := range g.deny {
		for _, a := range forms {
			if p.Contains(a) {
				return &blockedError{"an address in " + p.String(), "its --deny-cidr says so"}
			}
		}
	}
	if !g.on {
		return nil
	}
	for _, p := range g.allow {
		for _, a := range forms {
			if p.Contains(a) {
				return nil
			}
		}
	}
	if name := specialName(forms[len(forms)-1]); name != "" {
		return &blockedError{"a " + name + " address", "--allow-cidr RANGE lets it pass"}
	}
	return nil
}

// forms are the ways to write one address: as it is, and the IPv4 address that it carries.
func forms(ip netip.Addr) []netip.Addr {
	ip = ip.WithZone("").Unmap()
	list := []netip.Addr{ip}
	if nat64.Contains(ip) {
		b := ip.As16()
		list = append(list, netip.AddrFrom4([4]byte(b[12:])))
	}
	return list
}

// specialName tells what kind of address ip is if it is not that of a public server, else "".
func specialName(ip netip.Addr) string {
	list := specials4
	if ip.Is6() {
		list = specials6
	}
	for _, s := range list {
		if s.prefix.Contains(ip) {
			return s.name
		}
	}
	if ip.Is6() && !global6.Contains(ip) {
		return "special"
	}
	return ""
}

// control is a net.Dialer's: it is called with the address that a connection is about to be made
// to.
func (g *guard) control(_, address string, _ syscall.RawConn) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return &blockedError{fmt.Sprintf("the address %q", address), "it is none that could be looked at"}
	}
	return g.check(ap.Addr())
}

// host returns a blockedError if the host of a URL, with a port or not, may not be asked.
func (g *guard) host(host []byte) error {
	if g.hosts == nil {
		return nil
	}
	name := string(host)
	if h, _, err := net.SplitHostPort(name); err == nil {
		name = h
	}
	name = strings.ToLower(strings.TrimSuffix(strings.Trim(name, "[]"), "."))
	for _, want := range g.hosts {
		if name == want || want[0] == '.' && strings.HasSuffix(name, want) {
			return nil
		}
	}
	return &blockedError{"the host", "its --allow-host names those that are"}
}

// newGuard reads what the options say of addresses and hosts.
func newGuard(opt *Options) (*guard, error) {
	g := &guard{on: opt.Guard}
	for _, list := range []struct {
		from []string
		to   *[]netip.Prefix
	}{{opt.AllowCIDR, &g.allow}, {opt.DenyCIDR, &g.deny}} {
		for _, text := range list.from {
			p, err := parsePrefix(text)
			if err != nil {
				return nil, err
			}
			*list.to = append(*list.to, p)
		}
	}
	for _, text := range opt.AllowHost {
		name := strings.ToLower(strings.Trim(strings.TrimSuffix(strings.TrimPrefix(text, "*"), "."), "[]"))
		if name == "" || name == "." || strings.ContainsAny(name, "*/@ ") {
			return nil, fmt.Errorf("%q is neither a host nor a domain like *.example.com", text)
		}
		g.hosts = append(g.hosts, name)
	}
	return g, nil
}

// parsePrefix reads a range or a single address. That of an IPv4 address in IPv6 means the IPv4
// one.
func parsePrefix(text string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(text)
	if err != nil {
		ip, aerr := netip.ParseAddr(text)
		if aerr != nil || ip.Zone() != "" {
			return p, fmt.Errorf("%q is neither an address nor a range like 10.0.0.0/8", text)
		}
		p = netip.PrefixFrom(ip, ip.BitLen())
	}
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p.Masked(), nil
}
