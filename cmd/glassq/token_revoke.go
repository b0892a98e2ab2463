package main

import (
	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/plain"
	"github.com/glassq/glassq/internal/rights"
	"github.com/spf13/cobra"
)

func (a *app) tokenRevokeCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "revoke NAME",
		Short: "End tokens by their name or id; their connections are cut within a second",
		Long: `End the tokens of a name, or the one with an id, for good. Connections and requests that they have under way are
cut within a second; what these had leased goes to others when the leases run out, or at once.`,
		Example: `  glassq token revoke ci --token-file tokens`,
		Args:    arguments(1, 1),
	}
	return withTokens(cmd, func(file string, args []string) error {
		n := 0
		err := rights.Change(file, func(e *rights.Edit) error {
			if n = e.Revoke(args[0]); n == 0 {
				return glassq.Errorf(glassq.CodeNotFound, "there is no token %.60s; glassq token ls tells what there is", args[0])
			}
			return nil
		})
		if err != nil {
			return err
		}
		return a.printf("%s: %s revoked\n", args[0], plain.Plural(n, "token", "tokens"))
	})
}
