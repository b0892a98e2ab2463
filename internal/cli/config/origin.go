package config

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// An Origin is where the value of a flag came from.
type Origin struct {
	from string // as people read it
	at   string // the file and the line, or the variable; "" for the command line and a default
}

// String is the flag, the default, or the name of the file or the variable.
func (o Origin) String() string { return o.from }

// MarshalText is String.
func (o Origin) MarshalText() ([]byte, error) { return []byte(o.from), nil }

// Origins is where the flags of a command have their values from, by name.
type Origins map[string]Origin

// Behind tells where what a sentence says about flags was set, when that is not the command line: a
// value that the file or the environment gave is mended there. It is the end of the sentence, "" for
// nothing.
func (o Origins) Behind(flags *pflag.FlagSet, sentence string) string {
	var text strings.Builder
	for _, word := range flagWord.FindAllString(sentence, -1) {
		f := flags.Lookup(strings.TrimPrefix(word, "--"))
		if f == nil && len(word) == 2 {
			f = flags.ShorthandLookup(word[1:])
		}
		if f == nil || o[f.Name].at == "" {
			continue
		}
		if said := fmt.Sprintf("; %s is set by %s", word, o[f.Name].at); !strings.Contains(text.String(), said) {
			text.WriteString(said)
		}
	}
	return text.String()
}

var flagWord = regexp.MustCompile(`\B--?[a-z][a-z0-9-]*`)

const environmentPrefix = "GLASSQ_"

// environmentName is the variable of a flag.
func environmentName(flag string) string {
	return environmentPrefix + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// Misspelt names the variables of environ that are those of no setting, and nearly those of one, with
// the one that was probably meant. Others of that kind may be of somebody else.
func Misspelt(root *cobra.Command, environ []string) (sentences []string) {
	var names []string
	for _, pair := range environ {
		name, _, _ := strings.Cut(pair, "=")
		if !strings.HasPrefix(name, environmentPrefix) {
			continue
		}
		if names == nil {
			names = settingNames(root, []string{environmentName("config")})
		}
		if slices.Contains(names, name) {
			continue
		}
		best, distance := "", 2
		if len(name) >= len(environmentPrefix)+8 {
			distance++ // two slips in a long word
		}
		for _, n := range names {
			if d := editDistance(name, n); d < distance {
				best, distance = n, d
			}
		}
		if best != "" {
			sentences = append(sentences, fmt.Sprintf("the environment has %s, which is no setting; did you mean %s?", name, best))
		}
	}
	return sentences
}

// settingNames adds the variables of cmd and of those below it to names.
func settingNames(cmd *cobra.Command, names []string) []string {
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if isConfigured(f) {
			names = append(names, environmentName(f.Name))
		}
	})
	for _, sub := range cmd.Commands() {
		names = settingNames(sub, names)
	}
	return names
}

// Fill sets the flags of cmd that were not given, from the environment, else from the file, and
// tells where each has its value from. One that was given with nothing is refused.
func (c *File) Fill(cmd *cobra.Command, lookup func(string) (string, bool)) (Origins, error) {
	var err error
	origins := Origins{}
	section := c.commands[strings.TrimPrefix(cmd.CommandPath(), cmd.Root().Name()+" ")]
	client := isClient(cmd)
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		origins[f.Name] = Origin{from: "default"}
		if f.Changed {
			origins[f.Name] = Origin{from: "flag"}
			if err == nil && isEmpty(f) {
				err = fmt.Errorf("--%s is empty: give it a value, or leave it out", f.Name)
			}
			return
		}
		if f.Name == "help" || err != nil || f.Name != "config" && !isConfigured(f) {
			return
		}
		name := environmentName(f.Name)
		if value, ok := lookup(name); ok {
			origins[f.Name] = Origin{"environment " + name, name}
			if serr := cmd.Flags().Set(f.Name, value); serr != nil {
				if e, ok := errors.AsType[*pflag.InvalidValueError](serr); ok {
					serr = e.Unwrap()
				}
				err = fmt.Errorf("%s=%q: %w", name, value, valueError(f, value, serr))
			}
			return
		}
		e, ok := section[f.Name]
		if !ok && client {
			e, ok = c.commands[clientSection][f.Name]
		}
		if ok {
			origins[f.Name] = Origin{"file " + c.Path, fmt.Sprintf("%s, line %d", c.Path, e.line)}
			if serr := setFlag(f, e.texts); serr != nil {
				err = &lineError{c.Path, e.line, fmt.Sprintf("%s: %v", f.Name, serr)}
			}
			f.Changed = true
		}
	})
	return origins, err
}

// Settle reads the configuration and fills in the flags of cmd.
func Settle(cmd *cobra.Command) (Origins, error) {
	path, named := Path(cmd.Flags(), os.LookupEnv)
	c, err := Load(cmd.Root(), path, named)
	if err != nil {
		return nil, err
	}
	return c.Fill(cmd, os.LookupEnv)
}
