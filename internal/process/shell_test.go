package process

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// shellNames are the shells that a body is tried in, each as sh.
var shellNames = []string{"sh", "dash", "bash", "busybox", "ksh", "mksh", "yash", "zsh"}

// eachShell calls f with every shell of this machine standing first in the path as sh.
func eachShell(t *testing.T, f func(t *testing.T)) {
	seen := map[string]bool{}
	for _, name := range shellNames {
		bin, err := exec.LookPath(name)
		if err != nil {
			continue
		}
		if real, err := filepath.EvalSymlinks(bin); err != nil || seen[real] {
			continue
		} else {
			seen[real] = true
		}
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.Symlink(bin, filepath.Join(dir, "sh")); err != nil {
				t.Fatal(err)
			}
			t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
			f(t)
		})
	}
	if len(seen) == 0 {
		t.Skip("needs sh: a POSIX shell")
	}
}

// count is a function of sh that prints how many arguments it has, and them.
const count = `p() { printf '%s' $#; for a in "$@"; do printf '<%s>' "$a"; done; }; `

// shellPlaces are texts with {} in all places; @ in what they print stands for the body.
var shellPlaces = []struct{ name, text, want string }{
	{"bare", `p {}`, "1<@>"},
	{"two", `p {} {}`, "2<@><@>"},
	{"beside text", `p a{}b`, "1<a@b>"},
	{"one after the other", `p {}{}0`, "1<@@0>"},
	{"double quotes", `p "{}"`, "1<@>"},
	{"double quotes, beside text", `p "x {} y"`, "1<x @ y>"},
	{"beside quotes", `p 'x '{}" y"`, "1<x @ y>"},
	{"between single quotes", `p 'x '{}' y'`, "1<x @ y>"},
	{"$(…)", `p "$(p {})"`, "1<1<@>>"},
	{"$(…) in quotes in quotes", `p "a $(p "b {}" c) d"`, "1<a 2<b @><c> d>"},
	{"subshell and group", `(p {}); { p "{}"; }`, "1<@>1<@>"},
	{"function", `f() { p {} "$1"; }; f x`, "2<@><x>"},
	{"after set and shift", `set -- a b; shift; p {} "$1"`, "2<@><b>"},
	{"assignment", `x={}; p "$x"`, "1<@>"},
	{"assignment before a command", `x={} p ok; y="={}" p ok`, "1<ok>1<ok>"},
	{"loop", `for x in a {}; do p "$x"; done`, "1<a>1<@>"},
	{"case", `case {} in a.b.c) p no;; {}) p "yes {}";; *) p no;; esac`, "1<yes @>"},
	{"here-document", "cat <<E\n{} \"{}\"\nE", "@ \"@\"\n"},
	{"here-document in $(…) in quotes", "p \"$(cat <<E\nx{}y\nE\n)\"", "1<x@y>"},
	{"here-document with tabs", "cat <<-E\n\tx{}\n\tE", "x@\n"},
	{"continued line", "p a \\\n  {}", "2<a><@>"},
	{"comment and quotes before it", "p 'it'\\''s' \"\\\"\" # it's a \"comment\np {}", "2<it's><\">1<@>"},
	{"braces that are meant", `p {""} {}`, "2<{}><@>"},
	{"argument of a shell's text", `sh -c 'printf "<%s>" "$1"' sh {}`, "<@>"},
	{"environment of a trap", `x={}; trap 'p "$x"' EXIT`, "1<@>"},
	{"a dollar before a quote that ends", `p 'x$' {}`, "2<x$><@>"},
}

var shellBodies = []string{
	"f1 f2", "*", "$(touch x)", "`touch x`", "; touch x", "'", `"`, `\`, `it's "so"\`, "a\nb", "\n", "a\n\n", "-rf", "--",
	"", " ", "~", "$HOME", "${x:-y}", "{}", "$1", `"$1"`, "{a,b}", "[a-z]*", "é ü\u00a0x", "\xff\xfe", "\x01\x7f\x81\x88",
	"E", "\nE\n", "!!", "#x", "a=b", "\t", "%s%n",
}

// checkShell runs all texts with body, in a folder of its own that has the files f1 and f2.
func checkShell(t *testing.T, body string) {
	t.Helper()
	var text strings.Builder
	text.WriteString(count)
	for _, p := range shellPlaces {
		fmt.Fprintf(&text, "(%s\n)\nprintf '\\0'\n", p.text)
	}
	argv, err := shellCommand(text.String())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, name := range []string{"f1", "f2"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	argv[len(argv)-1] = body
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir = dir
	cmd.Env = append(ownEnv(), "LC_ALL=C.UTF-8")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("with %q: %v\n%s", body, err, out)
	}
	got := strings.Split(string(out), "\x00")
	if len(got) != len(shellPlaces)+1 {
		t.Fatalf("with %q: printed %q", body, got)
	}
	for i, p := range shellPlaces {
		if want := strings.ReplaceAll(p.want, "@", body); got[i] != want {
			t.Errorf("%s: %s\nwith %q printed %q, want %q", p.name, p.text, body, got[i], want)
		}
	}
	if names, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(names) != 2 {
		t.Errorf("with %q: files %q, %v; want f1 and f2", body, names, err)
	}
}

// A body is exactly one argument, byte for byte, wherever {} stands; nothing in it is run or taken
// for a name of files.
func TestShellWord(t *testing.T) {
	eachShell(t, func(t *testing.T) {
		for _, body := range shellBodies {
			checkShell(t, body)
		}
	})
}

// Any bytes but zero are one word.
func TestShellAnyBody(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	const odd = "'\"\\`$(){}[]*?~#;&|<>!= \t\n-%E\x01\x7f\x80\x81\x88\xff\u00e9"
	eachShell(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(seed, 1))
		for range 30 {
			body := make([]byte, r.IntN(20))
			for i := range body {
				if body[i] = odd[r.IntN(len(odd))]; r.IntN(3) == 0 {
					body[i] = byte(1 + r.IntN(255))
				}
			}
			checkShell(t, string(body))
		}
	})
}

func TestShellRefuses(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"single quotes", `echo 'x {} y'`, "character 9: {} stands where sh fills nothing in: end the quotes"},
		{"single quotes, second", `echo {} '{}'`, "character 10: {} stands where"},
		{"quoted here-document", "cat <<'E'\n{}\nE\n", "here-document"},
		{"backslash", `echo \{}`, "fills nothing in"},
		{"comment", `echo # {}`, "fills nothing in"},
		{"dollar", `echo ${}`, "fills nothing in"},
		{"back-quotes", "echo `echo {}`", "write $(…) in place of the back-quotes"},
		{"back-quotes in quotes", "echo \"`echo \\\"{}\\\"`\"", "write $(…)"},
		{"default", `echo ${x:-{}}`, "put it in a variable first"},
		{"pattern", `echo "${x#{}}"`, "put it in a variable first"},
		{"arithmetic", `echo $(({} + 1))`, "check first that it is a number"},
		{"command", `{} a`, "the command is fixed"},
		{"part of a command", `ls && ./"{}".sh a`, "the command is fixed"},
		{"end of a here-document", "cat <<{}\nx\n$1\n", "not allowed in heredoc words"},
		{"sh -c", `sh -c 'rm {}'`, `write "$1" there`},
		{"sh -c, double quotes", `find . | xargs /bin/bash -o pipefail -ec "rm {}" x`, `write "$1" there`},
		{"eval", `eval rm {}`, "eval would parse {} again"},
		{"trap", `trap "rm {}" EXIT`, "trap would parse {} again"},
		{"command eval", `command eval "{}"`, "eval would parse {} again"},
		{"no text for sh", `echo "{}`, "no text for sh"},
		{"of bash", `cat <({})`, "no text for sh"},
		{"dollar quotes", `echo $'a' {}`, "may not have $'…'"},
		{"nothing", " ", "no command to run"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := shellCommand(tt.text)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("shellCommand(%q) = %q, %v; want an error with %q", tt.text, got, err, tt.want)
			}
		})
	}
	for _, argv := range [][]string{
		{"sh", "-c", "rm {}"}, {"env", "-i", "/bin/bash", "+x", "-e", "-c", "rm '{}'", "x"},
	} {
		_, err := NewExec(ExecOptions{Command: argv})
		if err == nil || !strings.Contains(err.Error(), `write "$1" there`) {
			t.Errorf("NewExec(%q) = %v, want a refusal", argv, err)
		}
	}
	for _, argv := range [][]string{
		{"sh", "-c", `rm "$1"`, "sh", "{}"}, {"sh", "script", "-c", "{}"}, {"env", "x={}", "sh", "-c", "echo"},
	} {
		if e, err := NewExec(ExecOptions{Command: argv}); err != nil {
			t.Errorf("NewExec(%q) = %v", argv, err)
		} else {
			e.Close()
		}
	}
}

// What fillText leaves alone it leaves byte for byte, and it never panics.
func FuzzFillText(f *testing.F) {
	for _, p := range shellPlaces {
		f.Add(p.text)
	}
	f.Add("echo \r\n{} \\\r\n{}")
	f.Add("\x00{}")
	f.Fuzz(func(t *testing.T, text string) {
		got, err := fillText(text)
		if err != nil {
			return
		}
		if strings.Contains(text, shellBody) {
			return
		}
		bare := func(s string) string { return strings.ReplaceAll(s, `"`, "") }
		if back := strings.ReplaceAll(bare(got), "${"+shellBody+"}", placeholder); back != bare(text) {
			t.Errorf("fillText(%q) = %q", text, got)
		}
	})
}
