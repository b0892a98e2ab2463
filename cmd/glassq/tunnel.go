package main

import (
	"crypto/tls"
	"net"
	"net/url"

	"github.com/glassq/glassq/internal/cert"
	"github.com/glassq/glassq/internal/door"
	"github.com/glassq/glassq/internal/tunnel"
	"github.com/spf13/cobra"
)

func (a *app) tunnelCmd() *cobra.Command {
	var listenOn string
	r := remote{}
	cmd := &cobra.Command{
		Use:   "tunnel",
		Short: "Carry Python programs of this machine to the manager door of a server elsewhere, over TLS",
		Long: `Listen on an address of this machine, or a Unix socket, and carry what connects there to the Python manager door of
a server on another machine: through the port of its HTTP door, with TLS. Python programs connect to this machine,
with the server's key or a token made with --manager as their authkey; they need nothing else.

Exit codes: 0 stopped, 6 the server cannot be reached or is not trusted at the start. Later it goes on, and says so.`,
		Example: `  glassq tunnel --server https://queue.example:5080 --ca ca.pem --listen 127.0.0.1:5000`,
		Args:    arguments(0, 0),
	}
	f := cmd.Flags()
	f.StringVar(&r.server, "server", "", "`URL` of the queue server, with https://")
	r.trustFlags(cmd)
	f.StringVar(&listenOn, "listen", defaultManager, "`address` of this machine to listen on, or the path of a Unix socket")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		u, err := url.Parse(r.server)
		if err != nil || u.Scheme != "https" || u.Host == "" {
			return usagef("--server %q is not like https://host:port: a tunnel is for TLS", r.server)
		}
		server := u.Host
		if u.Port() == "" {
			server = net.JoinHostPort(u.Hostname(), "443")
		}
		config, err := r.tlsConfig()
		if err != nil {
			return err
		}
		open := listenUnix
		if !isSocketPath(listenOn) {
			host, _, err := net.SplitHostPort(listenOn)
			if err != nil || !isLoopback(host) {
				return usagef("--listen %s is not an address of this machine alone like %s, nor the path of a Unix socket with a /",
					listenOn, defaultManager)
			}
			open = listen
		}
		ctx, stop := a.interruptible("glassq tunnel", "stopping")
		defer stop()
		t := tunnel.New(server, config, door.Frame{Log: a.console.Logger()})
		if err := t.Check(ctx); err != nil {
			return &exitError{exitServer, err}
		}
		ln, err := open(listenOn)
		if err != nil {
			return err
		}
		a.console.Say("glassq tunnel: %s leads to %s", ln.Addr(), server)
		return t.Run(ctx, ln)
	}
	return cmd
}

// tlsConfig is what a connection to the server trusts, and shows of itself.
func (r *remote) tlsConfig() (*tls.Config, error) {
	config, err := r.ownCertificate()
	if err == nil {
		config, err = cert.Trust(config, r.ca)
	}
	if err != nil {
		return nil, usagef("%w", err)
	}
	return config, nil
}
