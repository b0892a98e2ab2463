package rights

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/glassq/glassq"
)

// file makes a file of tokens and returns what their holders send.
func file(t testing.TB, tokens ...Token) (path string, texts []string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "tokens")
	err := Change(path, func(e *Edit) error {
		for _, k := range tokens {
			text, err := e.New(k)
			if err != nil {
				return err
			}
			texts = append(texts, text)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return path, texts
}

func named(name string, may ...string) Token {
	return Token{Name: name, May: may, Queues: Patterns{"*"}, Created: time.Now()}
}

func change(t *testing.T, path string, f func(*Edit) error) {
	t.Helper()
	if err := Change(path, f); err != nil {
		t.Fatal(err)
	}
}

func TestPatterns(t *testing.T) {
	for _, tt := range []struct {
		patterns, name string
		covers         bool
	}{
		{"*", "anything", true},
		{"team-a.*", "team-a.tasks", true},
		{"team-a.*", "team-a.", true},
		{"team-a.*", "team-ab.tasks", false},
		{"team-a.*", "team-a", false},
		{"team-a.*", "results.team-a.run", true},
		{"team-a.*", "results.team-b.run", false},
		{"team-a.*", "results.results.team-a.run", false},
		{"team-a.*", "results", false},
		{"tasks", "tasks", true},
		{"tasks", "tasks2", false},
		{"tasks", "results.tasks", true},
		{"a b.*", "b.x", true},
		{"", "", false},
	} {
		if got := Patterns(strings.Fields(tt.patterns)).Covers(tt.name); got != tt.covers {
			t.Errorf("Patterns(%s).Covers(%q) = %v", tt.patterns, tt.name, got)
		}
	}
}

// TestChange: what is refused when tokens are made, and that nothing is written then.
func TestChange(t *testing.T) {
	path, _ := file(t, named("ci", "put"))
	before, _ := os.ReadFile(path)
	many := func(e *Edit) error {
		for range MaxManager + 1 {
			k := named("m"+nth(len(e.Tokens)), "work")
			k.Manager = true
			if _, err := e.New(k); err != nil {
				return err
			}
		}
		return nil
	}
	add := func(k Token) func(*Edit) error {
		return func(e *Edit) error { _, err := e.New(k); return err }
	}
	for _, tt := range []struct {
		name, says string
		change     func(*Edit) error
	}{
		{"a name twice", "already", add(named("ci", "read"))},
		{"no scope", "no scope", add(named("x"))},
		{"a scope that is none", "not one of", add(named("x", "write"))},
		{"a bad name", "name", add(named("a b", "put"))},
		{"no queue", "no queue", add(Token{Name: "x", May: []string{"put"}})},
		{"a star in the middle", "pattern", add(Token{Name: "x", May: []string{"put"}, Queues: Patterns{"a*b"}})},
		{"too many for the manager door", "64", many},
		{"a rotation of nothing", "no valid token", func(e *Edit) error {
			_, _, err := e.Rotate("nobody", time.Now(), time.Hour, time.Time{})
			return err
		}},
	} {
		if err := Change(path, tt.change); err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v; want a sentence with %q", tt.name, err, tt.says)
		}
	}
	if after, _ := os.ReadFile(path); string(after) != string(before) {
		t.Error("a change that was refused was written")
	}
	if _, err := os.Stat(path + ".lock"); err == nil {
		t.Error("the lock is left")
	}
}

// nth is a different name for each number.
func nth(n int) string { return strings.Repeat("x", n+1) }

func TestFileIsPrivate(t *testing.T) {
	path, texts := file(t, named("ci", "put"), Token{Name: "py", May: []string{"work"}, Queues: Patterns{"*"}, Manager: true})
	for _, p := range []string{path, path + rawSuffix} {
		info, err := os.Stat(p)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v; want mode 0600", p, info, err)
		}
	}
	text, _ := os.ReadFile(path)
	for _, secret := range texts {
		if strings.Contains(string(text), secret[len(prefix)+idLength+1:]) {
			t.Error("the file has a secret")
		}
	}
	for _, p := range []string{path, path + rawSuffix} {
		if err := os.Chmod(p, 0o640); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(path); !errors.Is(err, glassq.ErrBadRequest) || !strings.Contains(err.Error(), "chmod 600") {
			t.Errorf("Open with a wide %s = %v", filepath.Base(p), err)
		}
		os.Chmod(p, 0o600)
	}
}

func TestBadFiles(t *testing.T) {
	good := `{"id":"abcdefghijkl","name":"a","sha256":"` + strings.Repeat("0", 64) + `","may":["put"],"queues":["*"],"created":"2026-01-01T00:00:00Z"}`
	for _, tt := range []struct{ name, text, says string }{
		{"no JSON", "x", "line 1"},
		{"an unknown member", strings.Replace(good, `"may"`, `"mayy"`, 1), "mayy"},
		{"a short digest", strings.Replace(good, "000", "0", 1), "64 hex"},
		{"the same id twice", good + "\n" + good, "line 2"},
		{"two on a line", good + good, "more than one"},
		{"a long line", strings.Repeat(" ", 2*maxLine), "too long"},
	} {
		path := filepath.Join(t.TempDir(), "tokens")
		if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(path); err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v; want a sentence with %q", tt.name, err, tt.says)
		}
	}
}

// TestDigest: two readers of one file have the same digest, and each change of it changes the digest.
func TestDigest(t *testing.T) {
	path, _ := file(t, named("one", "put"), named("two", "put"))
	open := func() *Register {
		r, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	r := open()
	seen := map[string]string{"as it was": r.Digest()}
	if other := open().Digest(); other != r.Digest() {
		t.Errorf("two readers have digests %s and %s", r.Digest(), other)
	}
	for _, tt := range []struct {
		name string
		edit func(e *Edit) error
	}{
		{"another scope", func(e *Edit) error { e.Tokens[0].May = []string{"work"}; return nil }},
		{"other queues", func(e *Edit) error { e.Tokens[0].Queues = Patterns{"q"}; return nil }},
		{"an end", func(e *Edit) error { e.Tokens[0].Expires = time.Now().Add(time.Hour); return nil }},
		{"a new secret", func(e *Edit) error {
			_, _, err := e.Rotate("two", time.Now(), time.Hour, time.Time{})
			return err
		}},
		{"one less", func(e *Edit) error { e.Revoke("one"); return nil }},
	} {
		change(t, path, tt.edit)
		r.Look(slog.New(slog.DiscardHandler))
		for name, d := range seen {
			if d == r.Digest() {
				t.Errorf("%s: the digest is that of %s", tt.name, name)
			}
		}
		seen[tt.name] = r.Digest()
	}
}

// TestRegister: what a change of the file does to those who are let in by it.
func TestRegister(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	path, texts := file(t, named("kept", "put"), named("gone", "put"), named("old", "work"))
	r, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	find := func(text string) *Live {
		l, err := r.Find([]byte(text))
		if err != nil {
			t.Errorf("Find: %v", err)
		}
		return l
	}
	kept, gone, old := find(texts[0]), find(texts[1]), find(texts[2])
	if kept == nil || gone == nil || old == nil {
		t.Fatal("a token is not found")
	}
	for _, bad := range []string{"", "gq_", texts[0][:len(texts[0])-1], texts[0] + "A", texts[0][:len(prefix)+idLength+1],
		texts[1][:len(prefix)+idLength] + texts[0][len(prefix)+idLength:]} {
		if find(bad) != nil {
			t.Errorf("%q is let in", bad)
		}
	}
	var second string
	change(t, path, func(e *Edit) error {
		if e.Revoke("gone") != 1 || e.Revoke("nobody") != 0 {
			t.Error("Revoke counts wrong")
		}
		_, second, err = e.Rotate("old", time.Now(), time.Hour, time.Time{})
		return err
	})
	r.Look(log)
	if !gone.Over() || kept.Over() {
		t.Errorf("over: gone %v, kept %v", gone.Over(), kept.Over())
	}
	select {
	case <-gone.Done():
	default:
		t.Error("Done of a revoked token is open")
	}
	if find(texts[1]) != nil || find(texts[0]) != kept {
		t.Error("a revoked token is found, or a kept one is not the same")
	}
	if a, b := find(texts[2]), find(second); a == nil || b == nil || a.Scope() != b.Scope() || r.Named("old") != b {
		t.Errorf("after a rotation: old %v, new %v", a, b)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	r.Look(log)
	if find(texts[0]) != kept {
		t.Error("a file that cannot be used takes tokens away")
	}
	os.Chmod(path, 0o600)
	change(t, path, func(e *Edit) error {
		for i := range e.Tokens {
			e.Tokens[i].Expires = time.Now().Add(-time.Second)
		}
		return nil
	})
	r.Look(log)
	if l, err := r.Find([]byte(texts[0])); l != nil || glassq.CodeOf(err) != glassq.CodeUnauthorized ||
		!strings.Contains(err.Error(), "expired") {
		t.Errorf("an expired token: %v, %v", l, err)
	}
	if !kept.Over() || r.Named("kept") != nil {
		t.Error("an expired token is not over")
	}
}

// TestLookAgain: a file that could not be read is read as soon as it can be, also where nothing of it
// changes but its owner, or what the process may open.
func TestLookAgain(t *testing.T) {
	path, _ := file(t, named("kept", "put"), named("gone", "put"))
	r, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	change(t, path, func(e *Edit) error { e.Revoke("gone"); return nil })
	r.seen, r.bad = r.stat(), "open tokens: too many open files"
	if !r.Look(slog.New(slog.DiscardHandler)) || r.Named("gone") != nil || r.Named("kept") == nil {
		t.Error("the file is not read again")
	}
}

// TestLink: a change through a link would leave what is revoked in the file behind it.
func TestLink(t *testing.T) {
	path, _ := file(t, named("gone", "put"))
	link := filepath.Join(t.TempDir(), "tokens")
	if err := os.Symlink(path, link); err != nil {
		t.Skip("left out: this system makes no links here: ", err)
	}
	err := Change(link, func(e *Edit) error { e.Revoke("gone"); return nil })
	if glassq.CodeOf(err) != glassq.CodeBadRequest || !strings.Contains(err.Error(), path) {
		t.Errorf("Change = %v", err)
	}
	if r, err := Open(link); err != nil || r.Named("gone") == nil {
		t.Errorf("Open by a link: %v", err)
	}
}

// TestRegisterRuns: a token ends with its time, and Run with its context.
func TestRegisterRuns(t *testing.T) {
	k := named("short", "put")
	k.Expires = time.Now().Add(100 * time.Millisecond)
	path, _ := file(t, k)
	r, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	l := r.now.Load().byName["short"]
	if l == nil {
		t.Skip("this machine is too busy: the token was over before it was read")
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { r.Run(ctx, slog.New(slog.DiscardHandler)); close(ended) }()
	<-l.Done()
	cancel()
	<-ended
}

// TestTableIsWhole: each verb has a row that says something, and each name is in one row.
func TestTableIsWhole(t *testing.T) {
	seen := map[string]string{}
	for i := range Rules {
		r := &Rules[i]
		if r.Does == "" {
			t.Errorf("verb %d has no row", i)
		}
		for door, names := range map[string][]string{"HTTP": r.HTTP, "memcached": r.Memcached, "manager": r.Manager,
			"client": r.Client} {
			for _, name := range names {
				if other, twice := seen[door+" "+name]; twice {
					t.Errorf("%s %s is in two rows: %s; %s", door, name, other, r.Does)
				}
				seen[door+" "+name] = r.Does
			}
		}
	}
}

// TestChangesAreAudited: a verb changes nothing, or it is one by which programs do their work, or it
// is audited, by a word of its own. A new verb is put in here with a thought.
func TestChangesAreAudited(t *testing.T) {
	kinds := map[Verb]string{}
	for kind, all := range map[string][]Verb{
		"reads": {VerbAsk, VerbWhoami, VerbQueues, VerbQueue, VerbPeek, VerbKeys, VerbRuns, VerbRun, VerbSchedules, VerbStats,
			VerbRunTask, VerbEvents, VerbAllEvents, VerbMetrics},
		// Thousands a second; and what each output says as it begins.
		"works": {VerbPut, VerbPutRun, VerbResult, VerbReserve, VerbAck, VerbNack, VerbExtend, VerbReadRun},
		"audited": {VerbImport, VerbConfigure, VerbPurge, VerbPurgeAll, VerbRedrive, VerbReleaseKey, VerbDrop, VerbSetRun,
			VerbCancelRun, VerbSetSchedule, VerbDropSchedule, VerbDropRun, VerbShutdown, VerbBackup, VerbReload, VerbResetStats},
	} {
		for _, v := range all {
			kinds[v] = kind
		}
	}
	words := map[string]Verb{}
	for v := range Verb(verbs) {
		r := &Rules[v]
		if kinds[v] == "" {
			t.Errorf("verb %q is new: say whether it reads, works or is audited", r.Does)
		}
		if (kinds[v] == "audited") != (r.Audit != "") {
			t.Errorf("verb %q has the word %q in the audit; what changes something has one, and nothing else", r.Does, r.Audit)
		}
		if other, ok := words[r.Audit]; ok && r.Audit != "" {
			t.Errorf("%q and %q are both audited as %s", r.Does, Rules[other].Does, r.Audit)
		}
		words[r.Audit] = v
	}
}

// TestDocument: docs/security.md has the table as it is. RIGHTS_WRITE=1 writes it.
func TestDocument(t *testing.T) {
	const path = "../../docs/security.md"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), "<!-- rights -->\n")
	_, after, ok2 := strings.Cut(rest, "<!-- /rights -->\n")
	if !ok || !ok2 {
		t.Fatal("docs/security.md has no place for the table")
	}
	want := before + "<!-- rights -->\n" + rulesTable() + "<!-- /rights -->\n" + after
	if want == string(text) {
		return
	}
	if os.Getenv("RIGHTS_WRITE") == "" {
		t.Fatal("docs/security.md is not the table of rules.go; RIGHTS_WRITE=1 go test ./internal/rights writes it")
	}
	if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestFindIsCheap: a check of one of 10,000 tokens allocates nothing.
func TestFindIsCheap(t *testing.T) {
	r, texts := many(t)
	if n := testing.AllocsPerRun(1000, func() {
		if l, err := r.Find(texts); l == nil || err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("Find allocates %v times", n)
	}
}

func many(t testing.TB) (r *Register, text []byte) {
	var tokens []Token
	for range 10_000 {
		k := named("ci", "put", "work")
		k.Queues = Patterns{"team-a.*"}
		tokens = append(tokens, k)
	}
	path := filepath.Join(t.TempDir(), "tokens")
	if err := Change(path, func(e *Edit) error {
		for _, k := range tokens {
			s, err := e.add(k)
			if err != nil {
				return err
			}
			text = []byte(s)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	r, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return r, text
}

func BenchmarkFind(b *testing.B) {
	r, text := many(b)
	b.ReportAllocs()
	for b.Loop() {
		if l, err := r.Find(text); l == nil || err != nil {
			b.Fatal(err)
		}
	}
}

func TestScopes(t *testing.T) {
	for _, tt := range []struct {
		names string
		want  Scope
	}{{"put", Put}, {"work read", Work | Read}, {"admin", Put | Work | Read | Admin}} {
		if got, err := ParseScopes(strings.Fields(tt.names)); got != tt.want || err != nil {
			t.Errorf("ParseScopes(%s) = %v, %v", tt.names, got, err)
		}
	}
	if got := Any.String(); got != "put, work or read" {
		t.Errorf("Any = %q", got)
	}
	if got := (Put | Admin).Names(); !reflect.DeepEqual(got, []string{"put", "admin"}) {
		t.Errorf("Names = %v", got)
	}
}

// FuzzFind: what a client sends is refused or found, and lets in only whom it should.
func FuzzFind(f *testing.F) {
	path, texts := file(f, named("ci", "put"))
	r, err := Open(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(texts[0]))
	f.Add([]byte("gq_"))
	f.Add([]byte("gq_abcdefghijkl_"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if l, err := r.Find(text); err != nil || (l != nil) != (string(text) == texts[0]) {
			t.Errorf("Find(%q) = %v, %v", text, l, err)
		}
	})
}

// FuzzLoad: a file is refused or read, and what was read is written as it is.
func FuzzLoad(f *testing.F) {
	path, _ := file(f, named("ci", "put"), named("py", "admin"))
	text, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte("{}\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		path := filepath.Join(t.TempDir(), "tokens")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		before, err := Load(path)
		if err != nil {
			return
		}
		change(t, path, func(*Edit) error { return nil })
		after, err := Load(path)
		if err != nil || len(after) != len(before) {
			t.Errorf("%q was read, and then written as something else: %v", text, err)
		}
	})
}
