package main

import (
	"fmt"
	"os"

	"github.com/glassq/glassq/internal/report"
	"github.com/spf13/cobra"
)

func (a *app) compareCmd() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "compare A.json B.json",
		Short: "Put the summaries of two runs side by side",
		Long: `Put two summaries that --summary-out wrote side by side, with the change from A to B. A difference is
"beyond chance" when it is larger than the scatter within the two runs explains, at 99 %; with too few
results behind a figure it says so. That is not how much two runs of the same thing differ: repeat both
before you believe it. The exit code does not depend on what comes out; --fail-if judges a run.`,
		Example: `  glassq output --run before --format none --summary-out before.json
  glassq output --run after --format none --summary-out after.json
  glassq compare before.json after.json`,
		Args: arguments(2, 2),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the comparison as JSON")
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		var docs [2]*report.Document
		for i, path := range args {
			var err error
			if docs[i], err = readSummary(path); err != nil {
				return err
			}
		}
		c, err := report.Compare(args[0], docs[0], args[1], docs[1])
		if err != nil {
			return usagef("%s and %s: %w", args[0], args[1], err)
		}
		if asJSON {
			return c.WriteJSON(a.data())
		}
		return c.WriteText(a.text())
	}
	return cmd
}

// readSummary reads a file that --summary-out wrote.
func readSummary(path string) (*report.Document, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, usagef("read a summary: %w", err)
	}
	defer f.Close()
	d, err := report.ReadDocument(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return d, nil
}
