package main

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/client"
	"github.com/spf13/cobra"
)

const defaultServer = "http://127.0.0.1:5080"

// A remote is the server that a client command speaks to.
type remote struct {
	server, keyFile, ca string
}

func (r *remote) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&r.server, "server", defaultServer, "`URL` of the queue server")
	f.StringVar(&r.keyFile, "key-file", "", "`file` that holds the server's key")
	f.StringVar(&r.ca, "ca", "", "PEM `file` of authorities to trust beside the system's")
}

// dial makes the client. retry is how long a call waits for a server that is away: 0 not at all,
// negative without end; a wait is said on the console every ten seconds.
func (a *app) dial(cmd *cobra.Command, r *remote, retry time.Duration) (*client.Client, error) {
	opt := client.Options{CAFile: r.ca, Retry: retry, Worker: ascii(workerName()), Agent: ascii("glassq/" + version())}
	if r.keyFile != "" {
		key, err := readKey(r.keyFile)
		if err != nil {
			return nil, err
		}
		opt.Key = string(key)
	}
	opt.Notify = func(err error) {
		a.console.Say("%s: waiting for the server: %v", cmd.CommandPath(), err)
	}
	c, err := client.New(r.server, opt)
	if err != nil {
		return nil, usagef("%w", err)
	}
	return c, nil
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

// absent adds to an error of a server that does not answer what to do about it.
func (r *remote) absent(err error) error {
	if err == nil || isInterrupted(err) || !errors.Is(err, client.ErrUnreachable) {
		return err
	}
	return glassq.Errorf(glassq.CodeUnavailable,
		"no answer from a server at %s: %w; start one with glassq serve, or name another with --server", r.server, err)
}

// readKey reads a key file; line ends behind the key are not of it.
func readKey(path string) ([]byte, error) {
	key, err := os.ReadFile(path)
	if err != nil {
		return nil, usagef("read the key: %w", err)
	}
	key = bytes.TrimRight(key, "\r\n")
	if len(bytes.TrimSpace(key)) == 0 {
		return nil, usagef("key file %s is empty, or has nothing but white space; write a long random line into it", path)
	}
	return key, nil
}
