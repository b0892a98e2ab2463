package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/glassq/glassq/internal/cli/term"
	"github.com/spf13/cobra"
)

// Defaults, file, environment and flags, each over the one before.
func TestConfigOrder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := write(t, filepath.Join(dir, "c.toml"), `# a farm
[serve]
data = "/from/file"
max-body = "2MiB"
insecure = ["http"]

[work.http]
concurrency = 7
server = "http://user:secret@127.0.0.1:1"

[dispatch]
header = ["Authorization: Bearer secret"]
`)
	xdg := t.TempDir()
	if err := os.MkdirAll(filepath.Join(xdg, "glassq"), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(xdg, "glassq", "config.toml"), "[work.http]\nconcurrency = 5\n")
	for _, tt := range []struct {
		name, args string
		env        []string
		want       []string // lines, with single spaces
	}{
		{"default", "work http", nil, []string{"concurrency 64 default"}},
		{"file", "work http --config " + file, nil, []string{"concurrency 7 file " + file}},
		{"file of the environment", "work http", []string{"GLASSQ_CONFIG=" + file}, []string{"concurrency 7 file " + file}},
		{"file of the user", "work http", []string{"XDG_CONFIG_HOME=" + xdg},
			[]string{"concurrency 5 file " + filepath.Join(xdg, "glassq", "config.toml")}},
		{"environment over file", "work http --config " + file, []string{"GLASSQ_CONCURRENCY=9"},
			[]string{"concurrency 9 environment GLASSQ_CONCURRENCY"}},
		{"no secrets", "work http --config " + file, nil, []string{"server http://user:xxxxx@127.0.0.1:1 file " + file}},
		{"no header", "dispatch --config " + file, nil, []string{"header Authorization: (hidden) file " + file}},
		{"another section", "serve --config " + file, nil,
			[]string{"data /from/file file " + file, "max-body 2MiB file " + file, "insecure [http] file " + file}},
		{"no file", "work http", []string{"XDG_CONFIG_HOME=" + dir}, []string{"concurrency 64 default"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			out, errs, code := invoke(t, "", tt.env, append([]string{"config"}, strings.Fields(tt.args)...)...)
			var lines []string
			for line := range strings.Lines(out) {
				lines = append(lines, strings.Join(strings.Fields(line), " "))
			}
			all := "\n" + strings.Join(lines, "\n") + "\n"
			for _, want := range tt.want {
				if code != 0 || !strings.Contains(all, "\n"+want+"\n") {
					t.Errorf("glassq config %s: exit %d: %s%s; want %q", tt.args, code, all, errs, want)
				}
			}
			if strings.Contains(out, "secret") {
				t.Errorf("glassq config %s prints a secret: %s", tt.args, out)
			}
		})
	}
	// A command takes it, and a flag wins.
	count := write(t, filepath.Join(dir, "n.toml"), "[dispatch]\ncount = 2\ndry-run = true\n")
	if out, errs, code := invoke(t, "", nil, "dispatch", "x{0}", "--config", count); out != "x0\nx1\n" || code != 0 {
		t.Errorf("dispatch with count = 2 in the file: %q, exit %d: %s", out, code, errs)
	}
	if out, errs, code := invoke(t, "", nil, "dispatch", "x{0}", "--config", count, "-n", "1"); out != "x0\n" ||
		code != 0 {
		t.Errorf("dispatch -n 1 with count = 2 in the file: %q, exit %d: %s", out, code, errs)
	}
}

// A file that does not check out is refused with its name, the line, and what was probably meant.
func TestBadConfig(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, text, want string }{
		{"key", "[serve]\ndata = \"d\"\nsinc = \"never\"\n",
			"line 3: there is no setting sinc in [serve]; did you mean sync?"},
		{"key of another command's section", "[serve]\n\n[work.http]\n# c\nconcurency = 3\n",
			"line 5: there is no setting concurency in [work.http]; did you mean concurrency?"},
		{"command", "[srve]\ndata = \"d\"\n", "line 1: there is no command srve; did you mean serve?"},
		{"command of a group", "[work.htp]\nqueue = \"q\"\n", "line 1: there is no command work htp; did you mean http?"},
		{"no section", "data = \"d\"\n", "line 1: data stands outside of a section"},
		{"value", "[serve]\n\nmax-body = \"many\"\n", "line 3: max-body: "},
		{"kind", "[dispatch]\ncount = [1, 2]\n", "line 2: count: takes one value, not a list"},
		{"number", "[work.http]\nconcurrency = \"x\"\n", "line 2: concurrency: not a whole number"},
		{"duration", "[work.http]\ntimeout = \"soon\"\n", "line 2: timeout: not a duration like 250ms"},
		{"syntax", "[serve]\ndata = \n", "line 2"},
		{"config in config", "[serve]\nconfig = \"x\"\n", "line 2: there is no setting config"},
		{"command as value", "serve = 1\n", "line 1: serve is a command"},
		{"inline", "work = {http = {queu = \"q\"}}\n", "line 1: there is no setting queu in [work.http]; did you mean queue?"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			file := write(t, filepath.Join(t.TempDir(), "c.toml"), tt.text)
			_, errs, code := invoke(t, "", nil, "version", "--config", file)
			if code != exitUsage || !strings.Contains(errs, file+": "+tt.want) {
				t.Errorf("exit %d, said %s; want exit 2 and %q", code, errs, tt.want)
			}
		})
	}
	// So is a value that a command finds out of its range.
	file := write(t, filepath.Join(t.TempDir(), "c.toml"), "[work.http]\n\nconcurrency = 0\n\n[serve]\n# a\nmax-body = \"33MiB\"\n")
	for _, tt := range []struct{ args, want string }{
		{"work http", "-c 0 is not between 1 and 100,000; -c is set by " + file + ", line 3"},
		{"serve --http 127.0.0.1:0", "--max-body 33MiB is not between 1 and 32MiB; --max-body is set by " + file + ", line 7"},
		{"work http -c 0", "-c 0 is not between 1 and 100,000\n"},
	} {
		_, errs, code := invoke(t, "", nil, append(strings.Fields(tt.args), "--config", file)...)
		if code != exitUsage || !strings.Contains(errs, tt.want) {
			t.Errorf("glassq %s: exit %d, said %s; want exit 2 and %q", tt.args, code, errs, tt.want)
		}
	}
	if _, errs, code := invoke(t, "", nil, "version", "--config", "/nowhere/c.toml"); code != exitUsage ||
		!strings.Contains(errs, "/nowhere/c.toml") {
		t.Errorf("a file that is not there: exit %d, said %s", code, errs)
	}
}

// Every command has an example, which help shows before the explanation, and a manual page.
func TestHelpAndMan(t *testing.T) {
	t.Parallel()
	root := (&app{console: term.NewConsole(os.Stderr)}).root()
	dir := t.TempDir()
	if _, errs, code := invoke(t, "", nil, "man", dir); code != 0 {
		t.Fatalf("man: exit %d: %s", code, errs)
	}
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
		out, _, code := invoke(t, "", nil, append(strings.Fields(cmd.CommandPath())[1:], "--help")...)
		head, rest, _ := strings.Cut(out, "\n\n")
		if code != 0 || head != cmd.Short+"." || !strings.HasPrefix(rest, cmd.Example) ||
			!strings.Contains(cmd.Example, "glassq ") {
			t.Errorf("%s --help: exit %d, %s; want an example below the first line", cmd.CommandPath(), code, out)
		}
		if cmd.Hidden {
			return
		}
		page := filepath.Join(dir, strings.ReplaceAll(cmd.CommandPath(), " ", "-")+".1")
		if text, err := os.ReadFile(page); err != nil || !strings.Contains(string(text), ".SH NAME") {
			t.Errorf("no manual page of %s: %v", cmd.CommandPath(), err)
		}
	}
	walk(root)
	out, _, code := invoke(t, "", nil, "dispatch", "--help")
	example, long := strings.Index(out, "  glassq dispatch '"), strings.Index(out, "In a template {0}")
	if code != 0 || example < 0 || long < example {
		t.Errorf("dispatch --help has its example at %d and its explanation at %d: %s", example, long, out)
	}
}
