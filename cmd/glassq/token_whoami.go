package main

import (
	"context"
	"strings"

	"github.com/glassq/glassq/client"
	"github.com/glassq/glassq/internal/rights"
	"github.com/spf13/cobra"
)

func (a *app) tokenWhoamiCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "whoami",
		Short:   "Say what a server lets the holder of a key or token do",
		Example: "  glassq token whoami --key-file ci.key",
		Args:    arguments(0, 0),
	}
	return a.asks(cmd, "print JSON", func(ctx context.Context, q *client.Client, _ []string, asJSON bool) error {
		me, err := q.Whoami(ctx)
		if err != nil {
			return err
		}
		return a.answer(asJSON, me, "%s may %s on %s, expires: %s%s", me.Name, strings.Join(me.May, ", "),
			strings.Join(me.Queues, ", "), until(me.Expires),
			atMost(rights.Rates{Puts: me.PutsPerSecond, Bytes: me.BytesPerSecond}))
	})
}
