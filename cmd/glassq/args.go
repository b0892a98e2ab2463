package main

import (
	"errors"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// arguments accepts from least to most arguments; a negative most is without end.
func arguments(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case most == 0 && len(args) > 0:
			return usagef("%q is one argument too many: there are only flags", args[0])
		case most >= 0 && len(args) > most:
			return usagef("%q is one argument too many; what has spaces or & in it needs quotes", args[most])
		case len(args) < least:
			return usagef("%s is missing: %s", placeholder(cmd.Use, len(args)), cmd.UseLine())
		}
		return nil
	}
}

// placeholder is the i-th required argument in the usage line of a command, such as QUEUE.
func placeholder(use string, i int) string {
	for _, word := range strings.Fields(use)[1:] {
		if strings.HasPrefix(word, "[") {
			continue
		}
		if i == 0 {
			return word
		}
		i--
	}
	return "an argument"
}

// valueError says what a flag takes that refused a value; cause is what it said.
func valueError(f *pflag.Flag, cause error) error {
	switch f.Value.Type() {
	case "uint64":
		return errors.New("not a whole number from 0 on")
	case "int":
		return errors.New("not a whole number")
	case "float64":
		return errors.New("not a number")
	case "duration":
		return errors.New("not a duration like 250ms, 10s or 1h30m")
	case "bool":
		return errors.New("neither true nor false")
	}
	return cause
}

// flagError makes a sentence of what pflag says, with the flag that was probably meant.
func flagError(cmd *cobra.Command, err error) error {
	if e, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		return usagef("--%s %q: %w", e.GetFlag().Name, e.GetValue(), valueError(e.GetFlag(), errors.Unwrap(e)))
	}
	name, ok := strings.CutPrefix(err.Error(), "unknown flag: --")
	if !ok {
		return usagef("%w", err)
	}
	best, distance := "", 3
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		d := editDistance(name, f.Name)
		if len(name) > 1 && strings.HasPrefix(f.Name, name) {
			d = min(d, 1)
		}
		if !f.Hidden && d < distance {
			best, distance = f.Name, d
		}
	})
	if best == "" {
		return usagef("there is no flag --%s", name)
	}
	return usagef("there is no flag --%s; did you mean --%s?", name, best)
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
