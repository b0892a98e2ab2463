package main

import (
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// TestOneFileEach: a file that a command would write twice, or read and write, is refused before it
// is touched, whatever its name.
func TestOneFileEach(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("links need rights there")
	}
	dir := t.TempDir()
	const text = "{\"id\":\"r/0\",\"run\":\"r\",\"o\":{\"ok\":0,\"rt\":1}}\n"
	file := write(t, filepath.Join(dir, "r.ndjson"), text)
	for _, link := range [][2]string{{"r.ndjson", "link"}, {"none", "dangling"}} {
		if err := os.Symlink(link[0], filepath.Join(dir, link[1])); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Link(file, filepath.Join(dir, "hard")); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, args, want string }{
		{"results and failed", "output --out D/r.ndjson --failed-out D/r.ndjson", "--out writes D/r.ndjson, and --failed-out would write the same file"},
		{"by a link", "output --out D/r.ndjson --summary-out D/link", "--summary-out would write the same"},
		{"by a hard link", "output --out D/hard --report D/r.ndjson", "--out writes D/hard, and"},
		{"by a link to what is not there", "output --hgrm D/dangling --junit D/none", "--junit would write the same"},
		{"by a way around", "output --missing-out D/../D/./none --junit D/none", "--missing-out would write the same"},
		{"run", "run http://127.0.0.1:1/{0} -n 1 --out D/r.ndjson --duplicate-out D/r.ndjson", "--duplicate-out would write the same"},
		{"run of its own output", "run --file D/r.ndjson --out D/link", "--file would read the same"},
		{"failed ones again", "run http://127.0.0.1:1/{0} -n 1 --ids D/r.ndjson --failed-out D/r.ndjson", "--ids would read the same"},
		{"dispatch", "dispatch --wait --file D/r.ndjson --out D/r.ndjson", "--file would read the same"},
		{"key of TLS", "serve --cpuprofile D/r.ndjson --tls-cert D/none --tls-key D/link", "--tls-key would read the same"},
		{"settings", "output --config D/empty.toml --out D/empty.toml", "--config would read the same"},
	} {
		write(t, filepath.Join(dir, "empty.toml"), "")
		args := strings.Fields(strings.ReplaceAll(strings.ReplaceAll(tt.args, "D/../D/", dir+"/../"+filepath.Base(dir)+"/"), "D/", dir+"/"))
		_, errs, code := invoke(t, "", []string{"XDG_STATE_HOME=" + dir}, args...)
		if want := strings.ReplaceAll(tt.want, "D/", dir+"/"); code != exitUsage || !strings.Contains(errs, want) {
			t.Errorf("%s: exit %d, said %s; want exit 2 and %q", tt.name, code, errs, want)
		}
		if now, err := os.ReadFile(file); string(now) != text {
			t.Fatalf("%s: the file is %q now, %v", tt.name, now, err)
		}
	}
	errs, code := invokeTo(t, nil, nil, "output", "--out", os.DevNull, "--failed-out", os.DevNull, "--server", "http://127.0.0.1:1x")
	if code != exitUsage || strings.Contains(errs, "the same file") {
		t.Errorf("two flags with %s: exit %d, %s; want only the server to be wrong", os.DevNull, code, errs)
	}
}

// TestRewrite: a file that another program writes is left as it is.
func TestRewrite(t *testing.T) {
	path := write(t, filepath.Join(t.TempDir(), "ids"), "of an earlier one\n")
	first, err := rewrite(path, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := first.WriteString("r/1\n"); err != nil {
		t.Fatal(err)
	}
	if second, err := rewrite(path, 0o600); err == nil || !strings.Contains(err.Error(), "another program writes to "+path) {
		second.Close()
		t.Errorf("a second writer: %v", err)
	}
	if text, err := os.ReadFile(path); string(text) != "r/1\n" {
		t.Errorf("the file is %q, %v", text, err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := rewrite(path, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
	if text, err := os.ReadFile(path); len(text) > 0 {
		t.Errorf("the file is %q, %v; want nothing", text, err)
	}
}

// TestWriteWhole: a report that is written whole leaves links and standard output what they are, and
// two at once are both whole.
func TestWriteWhole(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("links need rights there")
	}
	dir := t.TempDir()
	out, err := os.Create(filepath.Join(dir, "stdout"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	a := &app{out: out}
	file := write(t, filepath.Join(dir, "report"), "old")
	for _, link := range [][2]string{{"report", "link"}, {"none", "dangling"}, {"stdout", "out"}} {
		if err := os.Symlink(link[0], filepath.Join(dir, link[1])); err != nil {
			t.Fatal(err)
		}
	}
	text := func(s string) func(io.Writer) error {
		return func(w io.Writer) error { _, err := io.WriteString(w, s); return err }
	}
	if _, err := out.WriteString("before "); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, to, want string }{
		{"link", "report", "by link"}, {"dangling", "none", "by dangling"}, {"out", "stdout", "before by out"}, {"new", "new", "by new"},
	} {
		err := a.writeFile(filepath.Join(dir, tt.name), text("by "+tt.name))
		got, _ := os.ReadFile(filepath.Join(dir, tt.to))
		if err != nil || string(got) != tt.want {
			t.Errorf("by %s %s has %q, %v; want %q", tt.name, tt.to, got, err, tt.want)
		}
		info, err := os.Lstat(filepath.Join(dir, tt.name))
		if err != nil || tt.name != "new" && info.Mode()&os.ModeSymlink == 0 {
			t.Errorf("%s is no link any more: %v", tt.name, err)
		}
	}
	err = a.writeFile(file, func(w io.Writer) error {
		if err := a.writeFile(file, text("of another")); err != nil {
			return err
		}
		return text("mine")(w)
	})
	if got, _ := os.ReadFile(file); err != nil || string(got) != "mine" {
		t.Errorf("two at once: %q, %v; want the one that ended last", got, err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*.tmp")); len(left) > 0 {
		t.Errorf("left over: %v", left)
	}
}
