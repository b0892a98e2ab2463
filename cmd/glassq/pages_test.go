package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
)

// A page of the documents is run as one script of bash, in an empty folder and on free ports: its
// blocks of shell in their order, and what stands in comments that begin with "run". A comment that
// begins with "norun:" leaves out the block behind it, with the reason. A page ends what it has
// started, and removes the data.
const (
	mostLeftOut = 10 // blocks of all pages
	leastBlocks = 15 // that are run
)

var (
	pagePart = regexp.MustCompile("(?ms)^<!-- (run|norun)(.*?)-->$|^```sh\n(.*?)^```$|^    \\S[^\n]*\n(?:    [^\n]*\n)*")
	// A block without a fence is shell when it begins with a command.
	aCommand = regexp.MustCompile(`^(glassq|make|printf|source|curl|go|sh|nc|seq|echo|kill|bin/glassq) `)
	// What listens is waited for: a script is faster than a reader.
	listens = regexp.MustCompile(`(?m)^.*glassq (serve|target)\b.*&$`)
	aLink   = regexp.MustCompile(`\]\(([a-z/-]+\.md)\)`)
)

// A script is what a page makes.
type script struct {
	text    string
	hidden  string // what a reader does not see
	blocks  int
	reasons []string
}

// shellOf reads the shell of a page.
func shellOf(page string) (s script) {
	skip := ""
	for _, m := range pagePart.FindAllStringSubmatch(page, -1) {
		block := m[3]
		switch {
		case m[1] == "run":
			s.text += strings.TrimSpace(m[2]) + "\n"
			s.hidden += strings.TrimSpace(m[2]) + "\n"
			continue
		case m[1] == "norun":
			skip = strings.TrimSpace(strings.TrimPrefix(m[2], ":"))
			continue
		case block == "":
			lines := strings.Split(strings.TrimSuffix(m[0], "\n"), "\n")
			for i, line := range lines {
				lines[i] = strings.TrimPrefix(line, "    ")
			}
			if !aCommand.MatchString(lines[0]) {
				continue
			}
			block = strings.Join(lines, "\n") + "\n"
		}
		if skip != "" {
			s.reasons = append(s.reasons, skip)
			skip = ""
			continue
		}
		s.blocks++
		s.text += block
	}
	return s
}

// TestLearning holds what index.md says of the pages that teach: they start from nothing. What listens is started
// where the reader sees it, or a reader who types the page meets a port that is closed.
func TestLearning(t *testing.T) {
	docs := filepath.Join("..", "..", "docs")
	index, err := os.ReadFile(filepath.Join(docs, "index.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(index), "## Learning")
	table, _, _ = strings.Cut(table, "\n## ")
	links := aLink.FindAllStringSubmatch(table, -1)
	if len(links) == 0 {
		t.Fatal("index.md has no pages that teach")
	}
	for _, link := range links {
		text, err := os.ReadFile(filepath.Join(docs, link[1]))
		if err != nil {
			t.Fatal(err)
		}
		if s := shellOf(string(text)); listens.MatchString(s.hidden) {
			t.Errorf("docs/%s starts out of sight:\n%s", link[1], s.hidden)
		}
	}
}

// TestPages runs every shell block of the README and of docs/, each page from nothing, and in
// parallel.
func TestPages(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the pages are for a POSIX shell")
	}
	for _, needs := range []string{"bash", "curl", "python3"} {
		if _, err := exec.LookPath(needs); err != nil {
			t.Skipf("needs %s: apt-get install bash curl python3", needs)
		}
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	var pages []string
	for _, of := range []string{"README*.md", "docs/*.md", "docs/zh/*.md"} {
		some, err := filepath.Glob(filepath.Join(root, of))
		if err != nil || len(some) == 0 {
			t.Fatalf("%s: %d pages, %v", of, len(some), err)
		}
		pages = append(pages, some...)
	}
	says := map[string][]string{
		"README.md":           {"put 10,000 = ok 10,000 + failed 0", `"hello"`},
		"README.zh-CN.md":     {"put 10,000 = ok 10,000 + failed 0"},
		"docs/tutorial.md":    {"ok 200\n", "put 200 = ok 200 + failed 0 + dead 0 + pending 0"},
		"docs/zh/tutorial.md": {"ok 200\n", "put 200 = ok 200 + failed 0 + dead 0 + pending 0"},
	}
	var ran, left atomic.Int64
	t.Run("each", func(t *testing.T) {
		for _, path := range pages {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			name, _ := filepath.Rel(root, path)
			s := shellOf(string(text))
			for _, why := range s.reasons {
				t.Logf("%s: left out: %s", name, why)
			}
			if left.Add(int64(len(s.reasons))); s.blocks == 0 {
				continue
			}
			ran.Add(int64(s.blocks))
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				out := s.run(t, root)
				for _, want := range says[name] {
					if !strings.Contains(out, want) {
						t.Errorf("the page does not show %q", want)
					}
				}
			})
		}
	})
	t.Logf("%d blocks ran, %d are left out", ran.Load(), left.Load())
	if ran.Load() < leastBlocks || left.Load() > mostLeftOut {
		t.Errorf("%d blocks ran and %d are left out; want at least %d, and at most %d left out", ran.Load(), left.Load(),
			leastBlocks, mostLeftOut)
	}
}

// run runs the script and returns all that it showed.
func (s *script) run(t *testing.T, root string) string {
	dir := t.TempDir()
	target, server, memcached, manager := freeAddress(t), freeAddress(t), freeAddress(t), freeAddress(t)
	_, port, _ := strings.Cut(manager, ":")
	ports := strings.NewReplacer("127.0.0.1:8888", target, "127.0.0.1:5080", server, "127.0.0.1:22201", memcached,
		"127.0.0.1:5000", manager, `("127.0.0.1", 5000)`, `("127.0.0.1", `+port+`)`,
		"go build -o bin/glassq ./cmd/glassq", "mkdir bin; cp "+binary+" bin/glassq", "go run ./cmd/glassq", "glassq")
	text := listens.ReplaceAllStringFunc(ports.Replace(s.text), func(line string) string {
		addr := server
		if strings.Contains(line, "glassq target") {
			addr = target
		}
		return fmt.Sprintf("%s\nuntil (exec 3<>/dev/tcp/%s) 2>/dev/null; do sleep 0.02; done", line,
			strings.Replace(addr, ":", "/", 1))
	})
	text = "set -e\ntrap 'kill $(jobs -p) 2>/dev/null || :; wait' EXIT\n" + text +
		"\n[ -z \"$(jobs -p)\" ] || { echo 'the page leaves programs running' >&2; exit 1; }\n" +
		"[ ! -e d ] || { echo 'the page leaves its data' >&2; exit 1; }\n"
	cmd := exec.CommandContext(t.Context(), "bash", "-c", text)
	cmd.Dir = dir
	cmd.Env = append(environment(t, "GLASSQ_SERVER=http://"+server, "GLASSQ_HTTP="+server, "GLASSQ_LISTEN="+target,
		"GLASSQ_MEMCACHED="+memcached, "GLASSQ_MANAGER="+manager, "GLASSQ_QUIET=true"),
		"PATH="+filepath.Dir(binary)+":"+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v: %s\n%s", err, text, out)
	}
	return string(out)
}
