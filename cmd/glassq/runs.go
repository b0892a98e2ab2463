package main

import (
	"github.com/spf13/cobra"
)

func (a *app) runsCmd() *cobra.Command {
	return group("runs", "Show runs and their books, end and forget them, and put again what failed",
		a.runsLsCmd(), a.runsShowCmd(), a.runsWaitCmd(), a.runsSealCmd(), a.runsCancelCmd(), a.runsRetryCmd(),
		a.runsRmCmd())
}
