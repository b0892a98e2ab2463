package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/cert"
	"github.com/glassq/glassq/internal/cli/config"
	"github.com/spf13/cobra"
)

func (a *app) certCmd() *cobra.Command {
	return group("cert", "Make certificates for a first cluster of machines", a.certNewCmd())
}

func (a *app) certNewCmd() *cobra.Command {
	dir, life := "", lifetime(397*24*time.Hour)
	var clients []string
	cmd := &cobra.Command{
		Use:   "new [HOST ...]",
		Short: "Make a private authority, if there is none, and certificates of servers and clients",
		Long: `Make certificates that a private authority signs. The authority is made at the first time, and used again later:
ca.pem, which clients are given with --ca, and ca-key.pem, which nobody but you should ever have.

Each HOST is one server: a name or an address by which clients call it, or several of them with commas between.
Its files are called by the first one: HOST.pem and HOST-key.pem, for serve --tls-cert and --tls-key. --client
makes NAME.pem and NAME-key.pem for a client of serve --client-ca, where NAME is the name of its token. Files of
before are replaced, and a running server takes the new ones.`,
		Example: `  glassq cert new queue.example,10.0.0.5 --dir certs
  glassq cert new --client ci --dir certs`,
		Args: arguments(0, -1),
	}
	f := cmd.Flags()
	f.StringVar(&dir, "dir", ".", "`folder` of the files")
	f.StringSliceVar(&clients, "client", nil, "`name` of a client, which is that of its token")
	f.Var(&life, "expires", "after which time certificates end, like 397d; the authority lives for ten years")
	config.CommandLineOnly(cmd, "client", "expires")
	cmd.RunE = func(_ *cobra.Command, hosts []string) error {
		if len(hosts)+len(clients) == 0 {
			return usagef("name a HOST, or a client with --client")
		}
		if life == 0 {
			return usagef("--expires never: a certificate ends some time; name one like 397d")
		}
		for _, host := range hosts {
			for name := range strings.SplitSeq(host, ",") {
				if name == "" || strings.ContainsAny(name, "/\\ \t") || strings.HasPrefix(name, ".") {
					return usagef("%q is not the name or the address of a machine: leave out https:// and the port", name)
				}
			}
		}
		for _, name := range clients {
			if err := glassq.CheckName(name); err != nil {
				return usagef("--client: %w", err)
			}
		}
		wrong := func(err error) error {
			if exitCode(err) == exitStorage { // the disk is full, or fails: no other flag helps
				return err
			}
			return usagef("%w", err)
		}
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return wrong(fmt.Errorf("--dir: %w", err))
		}
		now := time.Now()
		ca, err := cert.OpenAuthority(dir, now)
		if err != nil {
			return wrong(err)
		}
		if ca.Made {
			a.console.Say("glassq cert: made an authority, %s; keep its key ca-key.pem to yourself", ca.File)
		}
		say := func(file, key string, err error) error {
			if err != nil {
				return wrong(err)
			}
			return a.printf("%s %s\n", file, key)
		}
		for _, host := range hosts {
			if err := say(ca.ForHost(dir, strings.Split(host, ","), now, time.Duration(life))); err != nil {
				return err
			}
		}
		for _, name := range clients {
			if err := say(ca.ForClient(dir, name, now, time.Duration(life))); err != nil {
				return err
			}
		}
		return nil
	}
	return cmd
}
