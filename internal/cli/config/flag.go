package config

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/glassq/glassq/internal/jsonline"
)

// valueError says what a flag takes that refused a value; cause is what it said.
func valueError(f *pflag.Flag, value string, cause error) error {
	switch f.Value.Type() {
	case "uint64":
		return errors.New("not a whole number from 0 on")
	case "int":
		return errors.New("not a whole number")
	case "float64":
		return errors.New("not a number")
	case "duration":
		if _, ok := jsonline.ParseDuration(value); ok {
			return errors.New("longer than a duration can be, 292 years")
		}
		return errors.New("not a duration like 250ms, 10s or 1h30m")
	case "stringToString":
		return errors.New("not of the form name=value")
	case "bool":
		return errors.New("neither true nor false")
	}
	return cause
}

// FlagError makes a sentence of what pflag says, with the flag that was probably meant.
func FlagError(cmd *cobra.Command, err error) error {
	if e, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		return fmt.Errorf("--%s %q: %w", e.GetFlag().Name, e.GetValue(), valueError(e.GetFlag(), e.GetValue(), errors.Unwrap(e)))
	}
	name, ok := strings.CutPrefix(err.Error(), "unknown flag: --")
	if !ok {
		return err
	}
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			names = append(names, "--"+f.Name)
		}
	})
	return fmt.Errorf("there is no flag --%s%s", name, suggestion("--"+name, names))
}

// editDistance is how many bytes are to be added, dropped or changed to make b of a.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
