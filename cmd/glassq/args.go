package main

import (
	"strings"

	"github.com/spf13/cobra"
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
