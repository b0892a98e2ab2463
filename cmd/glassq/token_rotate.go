package main

import (
	"time"

	"github.com/glassq/glassq/internal/cli/config"
	"github.com/glassq/glassq/internal/rights"
	"github.com/spf13/cobra"
)

func (a *app) tokenRotateCmd() *cobra.Command {
	var out string
	overlap, expires := lifetime(24*time.Hour), lifetime(0)
	cmd := &cobra.Command{
		Use:   "rotate NAME",
		Short: "Make a new token in the place of an old one, which stays valid for a while",
		Long: `Make a new token that may do what the newest one of that name may do, and print it. The old one ends after
--overlap; until then both are valid. The new one lives as long as the old one was made for, or as --expires says.`,
		Example: `  glassq token rotate ci --overlap 24h --token-file tokens --out ci.new.key`,
		Args:    arguments(1, 1),
	}
	cmd.Flags().Var(&overlap, "overlap", "for which time the old one stays valid, like 24h or 7d")
	cmd.Flags().Var(&expires, "expires", "after which time the new one ends, like 90d or 12h")
	secretFlag(cmd, &out)
	config.CommandLineOnly(cmd, "overlap", "expires", "out")
	return withTokens(cmd, func(file string, args []string) error {
		if overlap == 0 {
			return usagef("--overlap never: the old token must end; name a time like 24h")
		}
		secret, err := newSecretFile(out)
		if err != nil {
			return err
		}
		now := time.Now().UTC().Truncate(time.Second)
		var t rights.Token
		var text string
		err = rights.Change(file, func(e *rights.Edit) (err error) {
			t, text, err = e.Rotate(args[0], now, time.Duration(overlap), expires.from(now))
			return err
		})
		if err := a.writeSecret(secret, text, err); err != nil {
			return err
		}
		a.console.Say("glassq token: %s is new, expires: %s; the old one ends by %s", t.Name, until(t.Expires),
			until(now.Add(time.Duration(overlap))))
		return nil
	})
}
