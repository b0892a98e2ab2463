// Package arch holds the house to its rules: who may import whom, how large a file may be, and how
// decisions are written down.
package arch

import (
	"bytes"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/glassq/glassq"

// maxLines is when to look for a second subject in a file.
const maxLines = 700

// A rule says what a package may import of this module; the first that matches holds.
type rule struct {
	pkg   string   // path in the module, "." for the root; a final /... takes in what is below
	level int      // as in the design
	may   []string // in the same form
	std   bool     // only the standard library besides
}

var rules = []rule{
	{"cmd/glassq/...", 6, []string{"..."}, false},
	{"internal/cli/term", 6, []string{".", "internal/plain", "internal/output", "internal/report"}, false},
	{"internal/cli/config", 6, []string{"internal/jsonline"}, false},
	{"bench/...", 6, []string{"..."}, false},
	{"examples/...", 6, []string{".", "client", "result", "worker", "store"}, false},
	{"internal/ladder", 5, []string{".", "client", "internal/disk", "internal/history", "internal/state",
		"internal/wal/..."}, false},
	{"internal/ladder/mutants", 6, nil, true},
	{"internal/ladder/reliability", 6, nil, true},
	{"internal/ladder/cluster", 6, []string{"internal/freeport", "internal/jetstream/natstest"}, true},
	{"internal/ladder/release", 6, []string{".", "internal/disk"}, true},
	{"internal/hostile", 6, []string{"..."}, false},
	{"internal/fetch/...", 5, []string{".", "internal/cert", "internal/jsonline", "internal/lack", "internal/whole", "result",
		"worker"}, false},
	{"internal/process/...", 5, []string{".", "internal/envelope", "internal/jsonline", "internal/lack", "internal/plain",
		"result", "worker"}, false},

	{"store", 5, []string{".", "internal/disk", "internal/stores"}, false},
	{"internal/stores", 5, []string{".", "internal/broker", "internal/cluster", "internal/disk", "internal/jetstream",
		"internal/schema", "internal/wal"}, false},
	{"internal/check/...", 5, []string{".", "internal/schema", "spec"}, false},

	{"internal/broker", 2, []string{".", "internal/cron", "internal/envelope", "internal/jsonline", "internal/stages",
		"internal/template", "result"}, true},
	{"internal/disk", 3, []string{".", "internal/engine", "internal/state", "internal/wal"}, false},
	{"internal/cluster/clustertest", 3, []string{"internal/cluster"}, true},
	{"internal/cluster", 3, []string{".", "internal/engine", "internal/room", "internal/state"}, true},
	{"internal/jetstream/natstest", 3, []string{"internal/freeport"}, true},
	{"internal/jetstream", 4, []string{".", "internal/cluster", "internal/plain"}, false},
	{"internal/engine/enginelog", 3, []string{".", "internal/engine"}, true},
	{"internal/engine", 2, []string{".", "internal/cron", "internal/envelope", "internal/patience", "internal/room",
		"internal/state"}, true},
	{"internal/live", 3, []string{".", "internal/audit", "internal/broker", "result"}, true},
	{"internal/explain", 3, []string{".", "internal/live", "internal/plain"}, true},
	{"internal/metrics", 3, []string{".", "internal/live"}, false},
	{"internal/door", 3, []string{".", "internal/audit", "internal/broker", "internal/rights"}, true},
	{"internal/dashboard", 4, []string{".", "internal/broker", "internal/door", "internal/explain", "internal/jsonline",
		"internal/live", "internal/plain", "internal/report", "internal/rights", "result"}, false},
	{"internal/door/http", 4, []string{".", "internal/broker", "internal/dashboard", "internal/door", "internal/envelope",
		"internal/explain", "internal/jsonline", "internal/live", "internal/metrics", "internal/rights", "internal/room", "spec"}, false},
	{"internal/door/memcache", 4, []string{".", "internal/broker", "internal/door", "internal/live", "internal/patience",
		"internal/rights", "internal/room"}, false},
	{"internal/door/manager", 4, []string{".", "internal/broker", "internal/door", "internal/door/manager/pickle",
		"internal/jsonline", "internal/live", "internal/rights", "internal/room"}, false},
	{"internal/door/manager/pickle", 4, []string{".", "internal/jsonline"}, false},
	{"client/...", 4, []string{".", "internal/cert", "internal/envelope"}, true},
	{"worker/...", 4, []string{".", "internal/lack", "result"}, true},
	{"internal/dispatch/...", 4, []string{".", "internal/broker", "internal/envelope", "internal/jsonline", "internal/template"}, false},
	{"internal/output/...", 4, []string{".", "internal/jsonline", "internal/plain", "internal/report", "internal/stages", "result"}, false},
	{"internal/report", 4, []string{".", "internal/plain", "result"}, false},
	{"internal/tunnel", 4, []string{"internal/cert", "internal/door"}, true},
	{"internal/target/...", 4, []string{"."}, false},

	{"internal/wal/waltest", 1, []string{"internal/wal"}, true},
	{"internal/wal", 1, []string{"internal/whole"}, false},
	{"internal/state", 1, []string{".", "internal/plain", "internal/stages", "internal/template"}, false},
	{"internal/history", 1, nil, true},
	{"internal/rights", 1, []string{".", "internal/whole"}, true},
	{"internal/audit", 1, nil, true},
	{"internal/cert", 1, []string{"internal/whole"}, true},
	{"internal/envelope", 1, []string{".", "internal/jsonline"}, false},
	{"result", 1, []string{".", "internal/jsonline"}, true},
	{"internal/schema", 1, nil, false},
	{"enginetest", 1, []string{"."}, true},

	{"internal/arch", 0, nil, true},
	{"internal/leftout", 0, nil, true}, // a tool of make test
	{"spec", 0, nil, true},             // embedded files
	{"internal/cron", 0, []string{"."}, false},
	{"internal/freeport", 0, nil, true}, // of tests
	{"internal/jsonline", 0, []string{"."}, false},
	{"internal/lack", 0, nil, true},
	{"internal/plain", 0, nil, true},
	{"internal/patience", 0, nil, true},
	{"internal/room", 0, nil, false},
	{"internal/stages", 0, []string{"."}, true},
	{"internal/template", 0, nil, true},
	{"internal/whole", 0, nil, true},
	{".", 0, nil, true},
}

// forTests may be imported by the tests of what is not below them.
var forTests = []string{"enginetest", "internal/wal/waltest"}

// generated are files that no person edits; their length is not looked at.
var generated = []string{}

func matches(pattern, pkg string) bool {
	if pattern == "..." {
		return true
	}
	root, below := strings.CutSuffix(pattern, "/...")
	return pkg == root || below && strings.HasPrefix(pkg, root+"/")
}

func ruleOf(pkg string) *rule {
	i := slices.IndexFunc(rules, func(r rule) bool { return matches(r.pkg, pkg) })
	if i < 0 {
		return nil
	}
	return &rules[i]
}

// verdict tells what is wrong with pkg importing imp, or nothing.
func verdict(r *rule, pkg, imp string, inTest bool) string {
	name, ours := strings.CutPrefix(imp, module)
	if !ours {
		first, _, _ := strings.Cut(imp, "/")
		if r.std && strings.Contains(first, ".") && !inTest {
			return "may import the standard library only"
		}
		return ""
	}
	if name = strings.TrimPrefix(name, "/"); name == "" {
		name = "."
	}
	switch {
	case name == pkg: // an external test of its package
		return ""
	case inTest && (slices.Contains(forTests, name) || r.level >= 2):
		if t := ruleOf(name); t == nil || t.level > r.level {
			return "a test may not import what is above it"
		}
		return ""
	case !slices.ContainsFunc(r.may, func(p string) bool { return matches(p, name) }):
		return "not in its row of the table"
	}
	if t := ruleOf(name); t == nil || t.level > r.level {
		return "imports go downwards only"
	}
	return ""
}

func TestLayers(t *testing.T) {
	root := filepath.Join("..", "..")
	if _, err := os.Stat(filepath.Join(root, "go.mod")); err != nil {
		t.Fatalf("the module is not where this test looks for it: %v", err)
	}
	packages := 0
	seen := map[string]bool{}
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		if d.IsDir() {
			name := d.Name()
			if rel != "." && (name == "testdata" || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_")) {
				return fs.SkipDir
			}
			if _, err := os.Stat(filepath.Join(file, "go.mod")); rel != "." && err == nil {
				return fs.SkipDir // a module of its own
			}
			return nil
		}
		if strings.HasSuffix(rel, ".go") {
			if pkg := path.Dir(rel); !seen[pkg] {
				seen[pkg] = true
				packages++
			}
			checkFile(t, file, rel)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if packages < 5 || !seen["."] {
		t.Errorf("found %d packages; the test does not see the module", packages)
	}
}

func checkFile(t *testing.T, file, rel string) {
	src, err := os.ReadFile(file)
	if err != nil {
		t.Error(err)
		return
	}
	if n := bytes.Count(src, []byte("\n")); n > maxLines && !slices.Contains(generated, rel) {
		t.Errorf("%s has %d lines, over %d: look for a second subject", rel, n, maxLines)
	}
	checkColumns(t, rel, src)
	f, err := parser.ParseFile(token.NewFileSet(), file, src, parser.ImportsOnly)
	if err != nil {
		t.Error(err)
		return
	}
	switch name := strings.TrimSuffix(f.Name.Name, "_test"); name {
	case "util", "utils", "common", "helper", "helpers", "types":
		t.Errorf("%s: package %s says nothing; name it for its job", rel, name)
	}
	pkg := path.Dir(rel)
	r := ruleOf(pkg)
	if r == nil {
		t.Errorf("%s: package %s has no row in the table of layers", rel, pkg)
		return
	}
	for _, spec := range f.Imports {
		imp, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Errorf("%s: import %s: %v", rel, spec.Path.Value, err)
			continue
		}
		what := verdict(r, pkg, imp, strings.HasSuffix(rel, "_test.go"))
		if path.Base(rel) == "example_test.go" && verdict(ruleOf("examples/go"), pkg, imp, false) == "" {
			what = "" // it is an importer's program
		}
		if what != "" {
			t.Errorf("%s: package %s imports %s: %s", rel, pkg, imp, what)
		}
	}
}

// TestVerdict: the table refuses what it ought to.
func TestVerdict(t *testing.T) {
	const own = module + "/"
	tests := []struct {
		pkg, imp string
		inTest   bool
		ok       bool
	}{
		{".", "net/http", false, true},
		{".", "golang.org/x/sys/unix", false, false},
		{".", own + "internal/state", false, false},
		{".", own + "enginetest", true, false},
		{"internal/wal", "golang.org/x/sys/unix", false, true},
		{"internal/wal", module, false, false},
		{"internal/wal", own + "internal/wal/waltest", true, true},
		{"internal/wal", own + "internal/wal/waltest", false, false},
		{"internal/state", own + "internal/wal", false, false},
		{"internal/disk", own + "internal/wal", false, true},
		{"internal/disk", own + "enginetest", true, true},
		{"internal/disk", own + "enginetest", false, false},
		{"internal/door/http", own + "internal/disk", false, false},
		{"internal/door/http", own + "internal/disk", true, true},
		{"internal/door/memcache", own + "internal/door/manager/pickle", false, false},
		{"internal/door/manager", own + "internal/door/manager/pickle", false, true},
		{"internal/fetch", own + "worker", false, true},
		{"internal/fetch", own + "internal/dispatch", false, false},
		{"internal/dispatch", own + "cmd/glassq", true, false},
		{"internal/output", own + "internal/report", false, true},
		{"internal/report", own + "internal/output", false, false},
		{"client", "github.com/valyala/fasthttp", false, false},
		{"enginetest", own + "internal/disk", true, false},
		{"cmd/glassq", own + "internal/door/http", false, true},
	}
	for _, tt := range tests {
		got := verdict(ruleOf(tt.pkg), tt.pkg, tt.imp, tt.inTest)
		if (got == "") != tt.ok {
			t.Errorf("verdict(%s imports %s, in a test %v) = %q; want ok %v", tt.pkg, tt.imp, tt.inTest, got, tt.ok)
		}
	}
}
