package main

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/glassq/glassq/internal/rights"
	"github.com/spf13/cobra"
)

func (a *app) tokenLsCmd() *cobra.Command {
	var file string
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "ls",
		Short:   "List the tokens of a file, without their secrets",
		Example: "  glassq token ls --token-file tokens",
		Args:    arguments(0, 0),
	}
	tokenFileFlag(cmd, &file)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object per token")
	cmd.RunE = func(_ *cobra.Command, _ []string) error {
		if err := needTokenFile(file); err != nil {
			return err
		}
		tokens, err := rights.Load(file)
		if err != nil {
			return err
		}
		now := time.Now()
		w := tabwriter.NewWriter(a.text(), 0, 0, 2, ' ', 0)
		if !asJSON {
			fmt.Fprintln(w, "NAME\tID\tMAY\tQUEUES\tEXPIRES\tPYTHON\tPUTS/S\tBYTES/S")
		}
		for i := range tokens {
			t := &tokens[i]
			if asJSON {
				t.Sum = "" // good for nothing but to try secrets
				if err := a.printJSON(t); err != nil {
					return err
				}
				continue
			}
			end, python := until(t.Expires), "no"
			if t.Expired(now) {
				end = "expired"
			}
			if t.Manager {
				python = "yes"
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", t.Name, t.ID, strings.Join(t.May, ","),
				strings.Join(t.Queues, ","), end, python, rateText(t.Puts), rateText(t.Bytes))
		}
		return w.Flush()
	}
	return cmd
}
