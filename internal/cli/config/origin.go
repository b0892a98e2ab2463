package config

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// An Origin is where the value of a flag came from.
type Origin string

const (
	fromDefault Origin = "default"
	fromFlag    Origin = "flag"
)

// environmentName is the variable of a flag.
func environmentName(flag string) string {
	return "GLASSQ_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// Fill sets the flags of cmd that were not given, from the environment, else from the file, and
// tells where each has its value from. One that was given with nothing is refused.
func (c *File) Fill(cmd *cobra.Command, lookup func(string) (string, bool)) (map[string]Origin, error) {
	var err error
	origins := map[string]Origin{}
	section := c.commands[strings.TrimPrefix(cmd.CommandPath(), cmd.Root().Name()+" ")]
	client := isClient(cmd)
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		origins[f.Name] = fromDefault
		if f.Changed {
			origins[f.Name] = fromFlag
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
			origins[f.Name] = Origin("environment " + name)
			if serr := cmd.Flags().Set(f.Name, value); serr != nil {
				err = fmt.Errorf("%s=%q: %w", name, value, valueError(f, value, serr))
			}
			return
		}
		texts, ok := section[f.Name]
		if !ok && client {
			texts, ok = c.commands[clientSection][f.Name]
		}
		if ok {
			origins[f.Name] = Origin("file " + c.Path)
			if serr := setFlag(f, texts); serr != nil {
				err = fmt.Errorf("%s: %s: %w", c.Path, f.Name, serr)
			}
			f.Changed = true
		}
	})
	return origins, err
}

// Settle reads the configuration and fills in the flags of cmd.
func Settle(cmd *cobra.Command) (map[string]Origin, error) {
	path, named := Path(cmd.Flags(), os.LookupEnv)
	c, err := Load(cmd.Root(), path, named)
	if err != nil {
		return nil, err
	}
	return c.Fill(cmd, os.LookupEnv)
}
