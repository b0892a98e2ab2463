package main

import (
	"fmt"
	"strconv"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/cli/config"
	"github.com/glassq/glassq/internal/rights"
	"github.com/spf13/cobra"
)

const (
	ratePuts  = "puts-per-second"
	rateBytes = "bytes-per-second"
)

func (a *app) tokenSetCmd() *cobra.Command {
	var rates rights.Rates
	cmd := &cobra.Command{
		Use:   "set NAME",
		Short: "Change how much the holders of a token may put in a second",
		Long: `Change how much the holders of a token may put in a second, all of them together and over all doors. It counts
within a second, and no connection is cut. What else a token may do does not change: make another one for that.`,
		Example: `  glassq token set ci --puts-per-second 500 --bytes-per-second 1000000 --token-file tokens`,
		Args:    arguments(1, 1),
	}
	rateFlags(cmd, &rates)
	config.CommandLineOnly(cmd, ratePuts, rateBytes)
	return withTokens(cmd, func(file string, args []string) error {
		puts, bytes := cmd.Flags().Changed(ratePuts), cmd.Flags().Changed(rateBytes)
		if !puts && !bytes {
			return usagef("nothing to set: name --%s or --%s", ratePuts, rateBytes)
		}
		if err := checkRates(rates); err != nil {
			return err
		}
		var now rights.Rates
		err := rights.Change(file, func(e *rights.Edit) error {
			n := e.SetRates(args[0], func(r *rights.Rates) {
				if puts {
					r.Puts = rates.Puts
				}
				if bytes {
					r.Bytes = rates.Bytes
				}
				now = *r
			})
			if n == 0 {
				return glassq.Errorf(glassq.CodeNotFound, "there is no token %s; glassq token ls tells what there is", args[0])
			}
			return nil
		})
		if err != nil {
			return err
		}
		a.console.Say("glassq token: %s may put %s tasks and %s bytes a second", args[0], rateText(now.Puts), rateText(now.Bytes))
		return nil
	})
}

// rateFlags are the flags for the rates of a token.
func rateFlags(cmd *cobra.Command, r *rights.Rates) {
	cmd.Flags().Int64Var(&r.Puts, ratePuts, 0, "most `tasks` that its holders may put in a second; 0 is no bound")
	cmd.Flags().Int64Var(&r.Bytes, rateBytes, 0, "most `bytes` of tasks that its holders may put in a second; 0 is no bound")
}

func checkRates(r rights.Rates) error {
	if r.Puts < 0 || r.Bytes < 0 {
		return usagef("--%s and --%s are 0 or more; 0 is no bound", ratePuts, rateBytes)
	}
	return nil
}

func rateText(n int64) string {
	if n == 0 {
		return "any"
	}
	return strconv.FormatInt(n, 10)
}

// atMost is how rates are told behind what a token may do.
func atMost(r rights.Rates) (text string) {
	if r.Puts > 0 {
		text += fmt.Sprintf(", at most %d puts a second", r.Puts)
	}
	if r.Bytes > 0 {
		text += fmt.Sprintf(", at most %d bytes a second", r.Bytes)
	}
	return text
}
