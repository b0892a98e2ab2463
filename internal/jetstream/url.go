package jetstream

import (
	"cmp"
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"github.com/glassq/glassq"
)

// Scheme begins the URL of a store on NATS.
const Scheme = "nats://"

const (
	defaultName     = "main"
	defaultReplicas = 3
)

// A Location is where a store is, as its URL says.
type Location struct {
	Servers  []string // URLs of one server each, with the user and the password where there is one
	Name     string   // of the store
	Replicas int      // copies of what is made anew
	MaxBytes int64    // of the log when it is made anew; 0 is no limit
	Creds    string   // file with NATS credentials; "" has none
	CA       string   // PEM file of the authorities of the servers; "" takes the system's, or no TLS
	Cert     string   // PEM file with the certificate of this program; "" has none
	Key      string   // PEM file with its key
}

var goodName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// Parse reads a URL such as nats://a:4222,b:4222,c:4222/NAME?creds=FILE. The error has code
// bad_request.
func Parse(text string) (Location, error) {
	l := Location{Replicas: defaultReplicas}
	bad := func(format string, args ...any) (Location, error) {
		return Location{}, glassq.Errorf(glassq.CodeBadRequest,
			"%w; write nats://host:4222,host:4222,host:4222/NAME", fmt.Errorf(format, args...))
	}
	rest, ok := strings.CutPrefix(text, Scheme)
	if !ok {
		return bad("the URL of a store on NATS begins with %s", Scheme)
	}
	rest, query, _ := strings.Cut(rest, "?")
	hosts, name, _ := strings.Cut(rest, "/")
	if l.Name = cmp.Or(name, defaultName); !goodName.MatchString(l.Name) {
		return bad("the name of a store is of 1 to 64 letters, digits, - and _, not %.80q", l.Name)
	}
	user := ""
	if i := strings.LastIndex(hosts, "@"); i >= 0 {
		user, hosts = hosts[:i+1], hosts[i+1:]
	}
	for host := range strings.SplitSeq(hosts, ",") {
		u, err := url.Parse(Scheme + user + host)
		if err != nil || u.Hostname() == "" || u.Path != "" {
			return bad("%.80q is no host and port of a NATS server", host)
		}
		l.Servers = append(l.Servers, u.String())
	}
	set, err := url.ParseQuery(query)
	if err != nil {
		return bad("what follows the ? does not read: %w", err)
	}
	for key, values := range set {
		value, err := values[len(values)-1], error(nil)
		switch key {
		case "creds":
			l.Creds = value
		case "ca":
			l.CA = value
		case "cert":
			l.Cert = value
		case "key":
			l.Key = value
		case "replicas":
			if l.Replicas, err = strconv.Atoi(value); err != nil || l.Replicas < 1 || l.Replicas > 5 {
				return bad("replicas=%s is not 1 to 5", value)
			}
		case "max_bytes":
			if l.MaxBytes, err = parseSize(value); err != nil {
				return bad("max_bytes=%s is not a size like 20GiB", value)
			}
		default:
			return bad("%q is none of creds, ca, cert, key, replicas, max_bytes", key)
		}
	}
	if (l.Cert == "") != (l.Key == "") {
		return bad("cert and key go together")
	}
	return l, nil
}

func parseSize(text string) (int64, error) {
	unit := int64(1)
	for i, name := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if digits, ok := strings.CutSuffix(text, name); ok {
			text, unit = digits, 1<<(10*(i+1))
		}
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || n > 1<<62/unit {
		return 0, fmt.Errorf("%s is no size", text)
	}
	return n * unit, nil
}

// String is the URL without what is secret.
func (l Location) String() string {
	hosts := make([]string, len(l.Servers))
	for i, s := range l.Servers {
		if u, err := url.Parse(s); err == nil {
			hosts[i] = u.Host
		}
	}
	return Scheme + strings.Join(hosts, ",") + "/" + l.Name
}

// The names of what a store has on NATS. The number is that of its one shard.

func (l Location) logStream() string    { return "GLASSQ_" + l.Name + "_0" }
func (l Location) logSubject() string   { return "glassq." + l.Name + ".0.log" }
func (l Location) hintBucket() string   { return "GLASSQ_" + l.Name }
func (l Location) hintStream() string   { return "KV_" + l.hintBucket() }
func (l Location) hintSubject() string  { return "$KV." + l.hintBucket() + "." }
func (l Location) stateStream() string  { return "OBJ_" + l.hintBucket() }
func (l Location) chunkSubject() string { return "$O." + l.hintBucket() + ".C." }
func (l Location) metaSubject() string  { return "$O." + l.hintBucket() + ".M." }
func (l Location) callSubject() string  { return "glassq." + l.Name + ".own." }
func (l Location) tellSubject() string  { return "glassq." + l.Name + ".tell.0" }
