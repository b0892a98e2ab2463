package main

import (
	"strings"
	"time"

	"github.com/glassq/glassq/internal/rights"
	"github.com/spf13/cobra"
)

func (a *app) tokenLsCmd() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "ls",
		Short:   "List the tokens of a file, without their secrets",
		Example: "  glassq token ls --token-file tokens",
		Args:    arguments(0, 0),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object per token")
	return withTokens(cmd, func(file string, _ []string) error {
		tokens, err := rights.Load(file)
		if err != nil {
			return err
		}
		for i := range tokens {
			tokens[i].Sum = "" // good for nothing but to try secrets
		}
		now := time.Now()
		return lister[rights.Token]{
			each: eachOf(tokens), head: "NAME\tID\tMAY\tQUEUES\tEXPIRES\tPYTHON\tPUTS/S\tBYTES/S",
			row: func(t *rights.Token) []any {
				end, python := until(t.Expires), "no"
				if t.Expired(now) {
					end = "expired"
				}
				if t.Manager {
					python = "yes"
				}
				return []any{t.Name, t.ID, strings.Join(t.May, ","), strings.Join(t.Queues, ","), end, python,
					rateText(t.Puts), rateText(t.Bytes)}
			},
		}.print(a, asJSON)
	})
}
