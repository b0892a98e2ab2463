package main

import (
	"net/url"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// An origin is where the value of a flag came from.
type origin string

const (
	fromDefault origin = "default"
	fromFlag    origin = "flag"
)

// environmentName is the variable of a flag.
func environmentName(flag string) string {
	return "GLASSQ_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// fillIn sets the flags of cmd that were not given, from the environment, else from the file, and tells
// where each has its value from.
func fillIn(cmd *cobra.Command, c *config, lookup func(string) (string, bool)) (map[string]origin, error) {
	var err error
	origins := map[string]origin{}
	section := c.commands[strings.TrimPrefix(cmd.CommandPath(), cmd.Root().Name()+" ")]
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		origins[f.Name] = fromDefault
		if f.Changed {
			origins[f.Name] = fromFlag
			return
		}
		if f.Name == "help" || err != nil {
			return
		}
		name := environmentName(f.Name)
		if value, ok := lookup(name); ok {
			origins[f.Name] = origin("environment " + name)
			if serr := cmd.Flags().Set(f.Name, value); serr != nil {
				err = usagef("%s=%q: %w", name, value, valueError(f, serr))
			}
			return
		}
		if texts, ok := section[f.Name]; ok {
			origins[f.Name] = origin("file " + c.path)
			if serr := setFlag(f, texts); serr != nil {
				err = usagef("%s: %s: %w", c.path, f.Name, valueError(f, serr))
			}
			f.Changed = true
		}
	})
	return origins, err
}

// settle reads the configuration and fills in the flags of cmd.
func settle(cmd *cobra.Command) (map[string]origin, error) {
	path, named := configPath(cmd.Flags(), os.LookupEnv)
	c, err := loadConfig(cmd.Root(), path, named)
	if err != nil {
		return nil, err
	}
	return fillIn(cmd, c, os.LookupEnv)
}

func (a *app) configCmd() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "config [COMMAND ...]",
		Short: "Print the settings that a command would have, and where each comes from",
		Long: `Print the settings that a command would have, and where each comes from: the default, the file, or the
environment. Without a command, print which file is read and which commands it is about. Values of headers
and passwords in URLs are not printed; keys lie in files, of which the names are.

The file is --config FILE, else GLASSQ_CONFIG, else $XDG_CONFIG_HOME/glassq/config.toml if it exists. It has
a section for each command, with the names of its flags:

  [serve]
  data = "/var/lib/glassq"

  [work.http]
  concurrency = 100`,
		Example: `  glassq config serve
  glassq config work http --config farm.toml`,
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object per setting")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		path, named := configPath(cmd.Flags(), os.LookupEnv)
		c, err := loadConfig(cmd.Root(), path, named)
		if err != nil {
			return err
		}
		if len(args) == 0 {
			return a.printConfig(c, path)
		}
		of, rest := commandAt(cmd.Root(), args)
		if len(rest) > 0 || of.HasSubCommands() {
			return noCommand(of, append(rest, "")[:1])
		}
		of.InheritedFlags() // adds those of its parents to its own
		origins, err := fillIn(of, c, os.LookupEnv)
		if err != nil {
			return err
		}
		return a.printSettings(of, origins, asJSON)
	}
	return cmd
}

func (a *app) printConfig(c *config, path string) error {
	if c.path == "" {
		if path == "" {
			path = "none"
		}
		return a.printf("no configuration file; one would be read from %s\n", path)
	}
	if err := a.printf("%s\n", c.path); err != nil {
		return err
	}
	for _, name := range sortedKeys(c.commands) {
		if err := a.printf("  [%s]  %d settings\n", strings.ReplaceAll(name, " ", "."), len(c.commands[name])); err != nil {
			return err
		}
	}
	return nil
}

func (a *app) printSettings(cmd *cobra.Command, origins map[string]origin, asJSON bool) error {
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	var err error
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" || f.Name == "config" || err != nil {
			return
		}
		value := shown(f)
		if asJSON {
			err = a.printJSON(struct {
				Name  string `json:"name"`
				Value string `json:"value"`
				From  origin `json:"from"`
			}{f.Name, value, origins[f.Name]})
			return
		}
		if value == "" {
			value = `""`
		}
		_, err = w.Write([]byte(f.Name + "\t" + value + "\t" + string(origins[f.Name]) + "\n"))
	})
	if err != nil {
		return err
	}
	return w.Flush()
}

// hidden stands for what is not printed.
const hidden = "(hidden)"

// shown is the value of a flag without what should stay secret: the values of headers, which may hold
// credentials, bodies, and passwords in URLs.
func shown(f *pflag.Flag) string {
	value := f.Value.String()
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
