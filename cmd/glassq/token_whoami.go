package main

import (
	"strings"

	"github.com/glassq/glassq/client"
	"github.com/glassq/glassq/internal/rights"
	"github.com/spf13/cobra"
)

func (a *app) tokenWhoamiCmd() *cobra.Command {
	var r remote
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "whoami",
		Short:   "Say what a server lets the holder of a key or token do",
		Example: "  glassq token whoami --key-file ci.key",
		Args:    arguments(0, 0),
	}
	r.flags(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return a.oneShot(cmd, &r, func(q *client.Client) error {
			me, err := q.Whoami(cmd.Context())
			if err != nil {
				return err
			}
			if asJSON {
				return a.printJSON(me)
			}
			return a.printf("%s may %s on %s, expires: %s%s\n", me.Name, strings.Join(me.May, ", "),
				strings.Join(me.Queues, ", "), until(me.Expires),
				atMost(rights.Rates{Puts: me.PutsPerSecond, Bytes: me.BytesPerSecond}))
		})
	}
	return cmd
}
