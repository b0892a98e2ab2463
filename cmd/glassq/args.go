package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// arguments accepts from least to most arguments; a negative most is without end. An empty one is
// refused, as a variable of a shell that is not set would choose something else; but a task may have
// an empty body, and a program an empty argument.
func arguments(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch i := slices.Index(args, ""); {
		case most == 0 && len(args) > 0:
			return usagef("%q is one argument too many: there are only flags", args[0])
		case most >= 0 && len(args) > most:
			return usagef("%q is one argument too many; what has spaces or & in it needs quotes", args[most])
		case len(args) < least:
			return usagef("%s is missing: %s", placeholder(cmd.Use, len(args)), cmd.UseLine())
		case i >= 0 && (i < least || most == 1):
			return usagef("%s is empty: %s", placeholder(cmd.Use, i), cmd.UseLine())
		}
		return nil
	}
}

// placeholder is the i-th argument in the usage line of a command, such as QUEUE: the required ones
// first.
func placeholder(use string, i int) string {
	words := strings.Fields(use)[1:]
	required := slices.DeleteFunc(slices.Clone(words), func(w string) bool { return strings.HasPrefix(w, "[") })
	switch {
	case i < len(required):
		return required[i]
	case len(words) > 0:
		return strings.Trim(words[0], "[]")
	}
	return "an argument"
}
