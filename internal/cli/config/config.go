// Package config gives the flags of a command their values: those of the command line, else of the
// environment, else of a configuration file, else their defaults; and it says which flag or section
// was probably meant by a name that is none. It knows flags, not what they mean. Every error is one
// of usage.
package config

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/BurntSushi/toml"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

const (
	fileName = "config.toml"
	maxFile  = 1 << 20 // bytes of a configuration file
)

// clientSection is a section for every command that speaks to a server; the command's own wins over
// it.
const clientSection = "client"

// clientFlags are its settings.
var clientFlags = []string{"server", "key-file", "ca", "client-cert", "client-key"}

// isClient tells a command that speaks to a server: serve has --client-ca, but neither of these. A tunnel
// has no key of its own.
func isClient(cmd *cobra.Command) bool {
	return cmd.Flags().Lookup("server") != nil && cmd.Flags().Lookup("client-cert") != nil
}

// notConfigured are flags that mean something only on the command line.
var notConfigured = []string{"help", "config"}

// commandLine marks flags that are like notConfigured, but only of their command.
const commandLine = "command line"

// CommandLineOnly has flags of cmd taken from the command line alone: what a token may do must not
// come from a variable that was meant for another command.
func CommandLineOnly(cmd *cobra.Command, flags ...string) {
	for _, name := range flags {
		cmd.Flags().SetAnnotation(name, commandLine, nil) // an error says that there is no such flag
	}
}

// mayBeEmpty marks flags whose empty value means something.
const mayBeEmpty = "may be empty"

// MayBeEmpty has an empty value of these flags of cmd taken for what it is. On a command line, that of
// any other is refused: it comes from a variable of a shell that is not set.
func MayBeEmpty(cmd *cobra.Command, flags ...string) {
	for _, name := range flags {
		cmd.Flags().SetAnnotation(name, mayBeEmpty, nil)
	}
}

// isEmpty reports whether the command line gave a flag an empty text that means nothing.
func isEmpty(f *pflag.Flag) bool {
	if _, ok := f.Annotations[mayBeEmpty]; ok || f.Name == "config" {
		return false
	}
	if list, ok := f.Value.(pflag.SliceValue); ok {
		texts := list.GetSlice()
		return len(texts) == 0 || slices.Contains(texts, "")
	}
	return f.Value.Type() == "string" && f.Value.String() == ""
}

func isConfigured(f *pflag.Flag) bool {
	_, only := f.Annotations[commandLine]
	return !only && !slices.Contains(notConfigured, f.Name)
}

// A File is what a configuration file says: per command, by its path without the program's name,
// the values of flags as text.
type File struct {
	Path     string // "" when there is no file
	commands map[string]map[string]entry
}

// An entry is the value of a flag in the file.
type entry struct {
	texts []string
	line  int // of its key, from 1
}

// A lineError is trouble in a configuration file, by line.
type lineError struct {
	path string
	line int // from 1
	text string
}

func (e *lineError) Error() string { return fmt.Sprintf("%s: line %d: %s", e.path, e.line, e.text) }

// Path is the file to read: --config, GLASSQ_CONFIG, or the default if it exists. Named says that
// somebody asked for it, so it must exist. An empty name asks for none.
func Path(flags *pflag.FlagSet, lookup func(string) (string, bool)) (path string, named bool) {
	if f := flags.Lookup("config"); f != nil && f.Changed {
		return f.Value.String(), true
	}
	if path, ok := lookup("GLASSQ_CONFIG"); ok {
		return path, true
	}
	if dir, ok := lookup("XDG_CONFIG_HOME"); ok && filepath.IsAbs(dir) {
		return filepath.Join(dir, "glassq", fileName), false
	}
	if home, err := os.UserHomeDir(); err == nil {
		return filepath.Join(home, ".config", "glassq", fileName), false
	}
	return "", false
}

// Load reads the file at path and checks every section and key against the commands below root. A
// file that was not named need not exist.
func Load(root *cobra.Command, path string, named bool) (*File, error) {
	c := &File{commands: map[string]map[string]entry{}}
	if path == "" {
		return c, nil
	}
	info, err := os.Stat(path)
	if !named && errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	if !info.Mode().IsRegular() || info.Size() > maxFile {
		return nil, fmt.Errorf("%s is no configuration: it is not a file of at most %d bytes", path, maxFile)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	c.Path = path
	var tree map[string]any
	meta, err := toml.Decode(string(data), &tree)
	if perr, ok := errors.AsType[toml.ParseError](err); ok {
		return nil, &lineError{path, perr.Position.Line, perr.Message}
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	for _, key := range meta.Keys() { // in the order of the file, so that the first trouble is named
		if err := c.takeKey(root, tree, data, key); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// Sections is how many settings the file has, by command.
func (c *File) Sections() map[string]int {
	n := make(map[string]int, len(c.commands))
	for name, settings := range c.commands {
		n[name] = len(settings)
	}
	return n
}

// takeKey checks one key of the file and keeps its value.
func (c *File) takeKey(root *cobra.Command, tree map[string]any, data []byte, key toml.Key) error {
	line := lineOf(data, key)
	wrong := func(format string, args ...any) error {
		return &lineError{c.Path, line, fmt.Sprintf(format, args...)}
	}
	value := valueAt(tree, key)
	if key[0] == clientSection {
		return c.takeClientKey(root, value, key, line, wrong)
	}
	cmd, rest := CommandAt(root, key)
	name := strings.Join(key[:len(key)-len(rest)], ".")
	switch {
	case len(rest) == 0:
		if _, ok := value.(map[string]any); !ok {
			return wrong("%s is a command, and its settings are a section: [%s]", name, name)
		}
		return nil
	case cmd == root || cmd.HasSubCommands() && isTable(value):
		near := suggestion(rest[0], commandNames(cmd))
		if !isTable(value) {
			return wrong("%s stands outside of a section; settings are in the section of their command, such as [serve]%s",
				rest[0], near)
		}
		return wrong("there is no command %s%s", strings.Join(key[:len(key)-len(rest)+1], " "), near)
	case len(rest) > 1:
		return nil // below a key that was looked at as a whole
	}
	flag := cmd.Flags().Lookup(rest[0])
	if flag == nil || !isConfigured(flag) {
		var names []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if isConfigured(f) {
				names = append(names, f.Name)
			}
		})
		return wrong("there is no setting %s in [%s]%s", rest[0], name, suggestion(rest[0], names))
	}
	return c.keep(strings.TrimPrefix(cmd.CommandPath(), root.Name()+" "), flag, value, line, wrong)
}

// takeClientKey is takeKey for the section of all clients.
func (c *File) takeClientKey(root *cobra.Command, value any, key toml.Key, line int,
	wrong func(string, ...any) error) error {
	switch {
	case len(key) == 1 && isTable(value):
		return nil
	case len(key) == 1:
		return wrong("%s is a section, of all commands that speak to a server: [%s]", clientSection, clientSection)
	case !slices.Contains(clientFlags, key[1]):
		return wrong("there is no setting %s in [%s]%s", key[1], clientSection, suggestion(key[1], clientFlags))
	}
	for _, cmd := range root.Commands() {
		if flag := cmd.Flags().Lookup(key[1]); isClient(cmd) && flag != nil {
			return c.keep(clientSection, flag, value, line, wrong)
		}
	}
	return nil // no command speaks to a server
}

// keep checks the value of a setting and keeps it.
func (c *File) keep(section string, flag *pflag.Flag, value any, line int, wrong func(string, ...any) error) error {
	texts, err := settingText(flag, value)
	if err == nil {
		err = tryFlag(flag, texts)
	}
	if err != nil {
		return wrong("%s: %v", flag.Name, err)
	}
	if c.commands[section] == nil {
		c.commands[section] = map[string]entry{}
	}
	c.commands[section][flag.Name] = entry{texts, line}
	return nil
}

// CommandAt follows key to a command as far as it goes; rest is what is left of it.
func CommandAt(root *cobra.Command, key toml.Key) (cmd *cobra.Command, rest []string) {
	cmd, rest = root, key
	for len(rest) > 0 {
		i := slices.IndexFunc(cmd.Commands(), func(sub *cobra.Command) bool { return sub.Name() == rest[0] })
		if i < 0 {
			break
		}
		cmd, rest = cmd.Commands()[i], rest[1:]
	}
	return cmd, rest
}

func commandNames(cmd *cobra.Command) (names []string) {
	for _, sub := range cmd.Commands() {
		if !sub.Hidden {
			names = append(names, sub.Name())
		}
	}
	return names
}

func isTable(v any) bool {
	_, ok := v.(map[string]any)
	return ok
}

func valueAt(tree map[string]any, key toml.Key) any {
	var v any = tree
	for _, part := range key {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[part]
	}
	return v
}

// settingText is a value of a file as a flag takes it: several texts for a flag that may be
// repeated.
func settingText(f *pflag.Flag, v any) ([]string, error) {
	_, repeats := f.Value.(pflag.SliceValue)
	switch v := v.(type) {
	case []any:
		if !repeats {
			return nil, errors.New("takes one value, not a list")
		}
		list := []string{}
		for _, e := range v {
			text, err := scalarText(e)
			if err != nil {
				return nil, err
			}
			list = append(list, text)
		}
		return list, nil
	case map[string]any:
		if f.Value.Type() != "stringToString" {
			return nil, errors.New("takes a value, not a section")
		}
		var list []string
		for name, e := range v {
			text, err := scalarText(e)
			if err != nil {
				return nil, err
			}
			list = append(list, name+"="+text)
		}
		slices.Sort(list)
		return list, nil
	}
	text, err := scalarText(v)
	return []string{text}, err
}

func scalarText(v any) (string, error) {
	switch v := v.(type) {
	case string:
		return v, nil
	case bool:
		return strconv.FormatBool(v), nil
	case int64:
		return strconv.FormatInt(v, 10), nil
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64), nil
	}
	return "", fmt.Errorf("a value is a text, a number, true or false, or a list of them; put %v in quotation marks", v)
}

// setFlag gives a flag the texts of a file.
func setFlag(f *pflag.Flag, texts []string) error {
	if list, ok := f.Value.(pflag.SliceValue); ok {
		return list.Replace(texts)
	}
	for _, text := range texts {
		if err := f.Value.Set(text); err != nil {
			return valueError(f, text, err)
		}
	}
	return nil
}

// tryFlag reports whether a flag would take the texts, and leaves it as it is.
func tryFlag(f *pflag.Flag, texts []string) error {
	if list, ok := f.Value.(pflag.SliceValue); ok {
		before := list.GetSlice()
		defer list.Replace(before)
		return list.Replace(texts)
	}
	if f.Value.Type() == "stringToString" {
		return nil // what it takes is checked by its shape; setting it back is not possible
	}
	before := f.Value.String()
	defer f.Value.Set(before)
	return setFlag(f, texts)
}

// suggestion is the name that was probably meant, as the end of a sentence.
func suggestion(name string, names []string) string {
	best, distance := "", 3
	for _, n := range names {
		d := editDistance(name, n)
		if len(name) > len("--x") && strings.HasPrefix(n, name) {
			d = min(d, 1)
		}
		if d < distance {
			best, distance = n, d
		}
	}
	if best == "" {
		return ""
	}
	return "; did you mean " + best + "?"
}

// lineOf finds the line of a key: the parser tells lines only of what it cannot read. It is the
// line of the section when the key is not found under it, as in an inline table.
func lineOf(data []byte, key toml.Key) int {
	section, at, found := "", 0, 1
	want := key.String()
	for line := range bytes.Lines(data) {
		at++
		text := strings.TrimSpace(string(line))
		if strings.HasPrefix(text, "[") {
			head, _, _ := strings.Cut(strings.TrimLeft(text, "["), "]")
			section = plainKey(head)
			if section == want {
				return at
			}
			if strings.HasPrefix(want, section+".") {
				found = at
			}
			continue
		}
		name, _, ok := strings.Cut(text, "=")
		if !ok || strings.HasPrefix(text, "#") {
			continue
		}
		full := plainKey(name)
		if section != "" {
			full = section + "." + full
		}
		if full == want || strings.HasPrefix(full, want+".") {
			return at
		}
		if strings.HasPrefix(want, full+".") {
			found = at
		}
	}
	return found
}

// plainKey is a dotted key of a file in the form in which the parser names it.
func plainKey(text string) string {
	var key toml.Key
	for part := range strings.SplitSeq(text, ".") {
		key = append(key, strings.Trim(strings.TrimSpace(part), `"'`))
	}
	return key.String()
}
