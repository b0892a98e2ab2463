package main

import (
	"cmp"
	"net/url"
	"os"
	"strings"

	"github.com/glassq/glassq/internal/cli/config"
	"github.com/glassq/glassq/internal/plain"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func (a *app) configCmd() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "config [COMMAND ...]",
		Short: "Print the settings that a command would have, and where each comes from",
		Long: `Print the settings that a command would have, and where each comes from: the default, the file, or the
environment. Without a command, print which file is read and which commands it is about. Values of headers
and passwords in URLs are not printed; keys lie in files, of which the names are.

The file is --config FILE, else GLASSQ_CONFIG, else $XDG_CONFIG_HOME/glassq/config.toml if it exists. It has
a section for each command, with the names of its flags, and one for all commands that speak to a server:

  [serve]
  data = "/var/lib/glassq"

  [client]
  server = "https://queue.example:5080"
  key-file = "/etc/glassq/key"
  ca = "/etc/glassq/ca.pem"

  [work.http]
  concurrency = 100`,
		Example: `  glassq config serve
  glassq config work http --config farm.toml`,
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object per setting")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		path, named := config.Path(cmd.Flags(), os.LookupEnv)
		c, err := config.Load(cmd.Root(), path, named)
		if err != nil {
			return err
		}
		if len(args) == 0 {
			return a.printConfig(c, path)
		}
		of, rest := config.CommandAt(cmd.Root(), args)
		if len(rest) > 0 || of.HasSubCommands() {
			return noCommand(of, append(rest, "")[:1])
		}
		of.InheritedFlags() // adds those of its parents to its own
		origins, err := c.Fill(of, os.LookupEnv)
		if err != nil {
			return usagef("%w", err)
		}
		return a.printSettings(of, origins, asJSON)
	}
	return cmd
}

func (a *app) printConfig(c *config.File, path string) error {
	if c.Path == "" {
		if path == "" {
			path = "none"
		}
		return a.printf("no configuration file; one would be read from %s\n", path)
	}
	if err := a.printf("%s\n", c.Path); err != nil {
		return err
	}
	sections := c.Sections()
	for _, name := range sortedKeys(sections) {
		if err := a.printf("  [%s]  %s\n", strings.ReplaceAll(name, " ", "."),
			plain.Plural(sections[name], "setting", "settings")); err != nil {
			return err
		}
	}
	return nil
}

// A setting is a flag of a command with its value.
type setting struct {
	Name  string        `json:"name"`
	Value string        `json:"value"`
	From  config.Origin `json:"from"`
}

func (a *app) printSettings(cmd *cobra.Command, origins config.Origins, asJSON bool) error {
	var list []setting
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden && f.Name != "help" && f.Name != "config" {
			list = append(list, setting{f.Name, shown(f), origins[f.Name]})
		}
	})
	return lister[setting]{each: eachOf(list), row: func(s *setting) []any {
		return []any{s.Name, cmp.Or(s.Value, `""`), s.From}
	}}.print(a, asJSON)
}

// hidden stands for what is not printed.
const hidden = "(hidden)"

// shown is the value of a flag without what should stay secret: the values of headers, which may
// hold credentials, bodies, and passwords in URLs.
func shown(f *pflag.Flag) string {
	value := f.Value.String()
	if !f.Changed {
		value = f.DefValue // where the value itself says little
	}
	switch f.Name {
	case "header":
		list, ok := f.Value.(pflag.SliceValue)
		if !ok {
			return value
		}
		var names []string
		for _, h := range list.GetSlice() {
			name, _, _ := strings.Cut(h, ":")
			names = append(names, name+": "+hidden)
		}
		return strings.Join(names, ", ")
	case "task-header", "body":
		if value != f.DefValue {
			return hidden
		}
		return value
	}
	if u, err := url.Parse(value); err == nil && u.User != nil {
		return u.Redacted()
	}
	return value
}
