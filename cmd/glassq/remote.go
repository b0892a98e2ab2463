package main

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/client"
	"github.com/glassq/glassq/internal/cert"
	"github.com/glassq/glassq/internal/rights"
	"github.com/spf13/cobra"
)

const defaultServer = "http://127.0.0.1:5080"

// A remote is the server that a client command speaks to.
type remote struct {
	server, keyFile, ca   string
	clientCert, clientKey string
	away                  atomic.Pointer[workReport] // hears that the server does not answer; nil for nobody
}

func (r *remote) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&r.server, "server", defaultServer, "`URL` of the queue server")
	f.StringVar(&r.keyFile, "key-file", "", "`file` that holds the server's key")
	r.trustFlags(cmd)
}

// trustFlags are those of TLS.
func (r *remote) trustFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&r.ca, "ca", "", "PEM `file` of authorities to trust beside the system's")
	f.StringVar(&r.clientCert, "client-cert", "", "PEM `file` with a certificate for servers that demand one")
	f.StringVar(&r.clientKey, "client-key", "", "PEM `file` with the key of --client-cert")
}

// dial makes the client. retry is how long a call waits for a server that is away: 0 not at all,
// negative without end; a wait is said on the console every ten seconds.
func (a *app) dial(cmd *cobra.Command, r *remote, retry time.Duration) (*client.Client, error) {
	opt := client.Options{CAFile: r.ca, Retry: retry, Worker: ascii(workerName()), Agent: ascii("glassq/" + version())}
	if r.keyFile != "" {
		key, warnings, err := readKey(r.keyFile)
		if err != nil {
			return nil, err
		}
		for _, text := range warnings {
			a.console.Say("%s: warning: %s", cmd.CommandPath(), text)
		}
		opt.Key = string(key)
	}
	var err error
	if opt.TLS, err = r.ownCertificate(); err != nil {
		return nil, err
	}
	opt.Notify = func(err error) {
		a.console.Say("%s: waiting for the server: %v", cmd.CommandPath(), err)
		if w := r.away.Load(); w != nil {
			w.away(err)
		}
	}
	c, err := client.New(r.server, opt)
	if err != nil {
		return nil, usagef("%w", err)
	}
	return c, nil
}

// ownCertificate is what the client shows of itself; nil for nothing.
func (r *remote) ownCertificate() (*tls.Config, error) {
	if r.clientCert == "" && r.clientKey == "" {
		return nil, nil
	}
	if r.clientCert == "" || r.clientKey == "" {
		return nil, usagef("--client-cert and --client-key go together")
	}
	pair, err := tls.LoadX509KeyPair(r.clientCert, r.clientKey)
	if err != nil {
		return nil, usagef("read the client certificate: %w", err)
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}}, nil
}

// ascii is a name with a _ for what a header cannot carry.
func ascii(name string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '_'
		}
		return r
	}, name)
}

// absent adds to an error of a server that does not answer what to do about it, and to one that
// answers that it is unavailable, which server says so.
func (r *remote) absent(err error) error {
	if _, ok := errors.AsType[*cert.Error](err); ok {
		return err // there is an answer, and it says what to do
	}
	if err == nil || isInterrupted(err) || !errors.Is(err, client.ErrUnreachable) {
		return err
	}
	for e, ok := errors.AsType[*glassq.Error](err); ok; e, ok = errors.AsType[*glassq.Error](e.Err) {
		if e.Code == glassq.CodeUnavailable && e.Err == nil { // that of a connection has a cause
			return fmt.Errorf("the server at %s answers: %w", r.server, err)
		}
	}
	return glassq.Errorf(glassq.CodeUnavailable,
		"no answer from a server at %s: %w; start one with glassq serve, or name another with --server", r.server, err)
}

// shortKey is the number of bytes below which a key can be guessed.
const shortKey = 16

// readKey reads a key file; line ends behind the key are not of it. The warnings are about keys
// that others can know.
func readKey(path string) (key []byte, warnings []string, err error) {
	if key, err = os.ReadFile(path); err != nil {
		return nil, nil, usagef("read the key: %w", err)
	}
	key = bytes.TrimRight(key, "\r\n")
	if len(bytes.TrimSpace(key)) == 0 {
		return nil, nil, usagef("key file %s is empty, or has nothing but white space; write a long random line into it", path)
	}
	if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && rights.WiderThanOwner(info) {
		warnings = append(warnings, fmt.Sprintf("key file %s: others on this machine can read it (mode %04o); chmod 600 it",
			path, info.Mode().Perm()))
	}
	if len(key) < shortKey {
		warnings = append(warnings, fmt.Sprintf("key file %s: a key of %d bytes can be guessed; make one with: openssl rand -hex 32, or glassq token new",
			path, len(key)))
	}
	return key, warnings, nil
}
