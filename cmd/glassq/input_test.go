package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestBadInput(t *testing.T) {
	dir := t.TempDir()
	used := start(t, nil, "serve", "--data", filepath.Join(dir, "used"), "--http", "127.0.0.1:0", "--max-body", "1KiB")
	key := write(t, filepath.Join(dir, "key"), "secret\n")
	wrong := write(t, filepath.Join(dir, "wrong"), "other\n")
	empty := write(t, filepath.Join(dir, "empty"), "\n")
	blank := write(t, filepath.Join(t.TempDir(), "blank"), " \n")
	bad := write(t, filepath.Join(dir, "bad.ndjson"), "{\"body\":\"a\"}\n{\"body\":\n")
	notes := write(t, filepath.Join(dir, "notes.txt"), "these are no results\n")
	locked := start(t, nil, "serve", "--data", filepath.Join(dir, "locked"), "--http", "127.0.0.1:0", "--key-file", key)
	server, guarded := "http://"+used.addr(), "http://"+locked.addr()
	absent := "http://" + freeAddress(t)
	if _, errs, code := invoke(t, "", nil, "dispatch", "--server", server, "--run", "taken", "x{0}", "-n",
		"2"); code != 0 {
		t.Fatalf("dispatch: exit %d: %s", code, errs)
	}

	for _, args := range []string{"queue set full --max-tasks 1", "put --queue full --wait 1m x"} {
		if _, errs, code := invoke(t, "", []string{"GLASSQ_SERVER=" + server}, strings.Fields(args)...); code != 0 {
			t.Fatalf("%s: exit %d: %s", args, code, errs)
		}
	}

	tests := []struct {
		name  string
		args  string // separated by spaces
		stdin string
		env   string
		code  int
		want  string // part of standard error
	}{
		{"command", "srve", "", "", 2, `there is no command "srve"; did you mean serve?`},
		{"command of a group", "queue lss", "", "", 2, `there is no command "lss"; did you mean ls?`},
		{"flag", "serve --dta x", "", "", 2, "there is no flag --dta; did you mean --data?"},
		{"flag far off", "serve --zzzzzz", "", "", 2, "there is no flag --zzzzzz"},
		{"flag value", "dispatch x{0} -n many", "", "", 2, `--count "many": not a whole number from 0 on`},
		{"flag value, endless", "put --delay 31536000000s x", "", "", 2, `--delay "31536000000s": longer than a duration can be, 292 years`},
		{"flag value, no unit", "put --delay 10 x", "", "", 2, `--delay "10": not a duration like 250ms`},
		{"flag value, duration", "work http --timeout soon", "", "", 2, `--timeout "soon": not a duration like 250ms`},
		{"flag value, share", "dispatch x{0} -n 1 --rate fast", "", "", 2, `--rate "fast": not a number`},
		{"argument", "serve d", "", "", 2, `"d" is one argument too many: there are only flags`},
		{"two templates", "dispatch x{0} y -n 2", "", "", 2, `"y" is one argument too many; what has spaces`},
		{"no command", "work exec", "", "", 2, "CMD is missing: glassq work exec"},
		{"no queue", "queue show", "", "", 2, "QUEUE is missing: glassq queue show QUEUE"},
		{"one summary", "compare a.json", "", "", 2, "B.json is missing"},
		{"shell", "completion tcsh", "", "", 2, `there is no command "tcsh"`},
		{"environment", "dispatch x{0}", "", "GLASSQ_COUNT=many", 2, `GLASSQ_COUNT="many": not a whole number`},
		{"environment, pairs", "serve --data D", "", "GLASSQ_MANAGER_QUEUE=b", 2,
			`glassq serve: GLASSQ_MANAGER_QUEUE="b": not of the form name=value`},
		{"environment, misspelt", "version", "", "GLASSQ_CONCURENCY=9", 0,
			"glassq version: the environment has GLASSQ_CONCURENCY, which is no setting; did you mean GLASSQ_CONCURRENCY?"},
		{"public address", "serve --data D --http 0.0.0.0:0", "", "", 2, "needs --key-file or --token-file, --tls-cert and --tls-key"},
		{"public address, key only", "serve --data D --http :0 --key-file " + key, "", "", 2, "--insecure http"},
		{"insecure door", "serve --data D --insecure all", "", "", 2, "write --insecure http"},
		{"memcached, public", "serve --data D --http off --memcached 0.0.0.0:0", "", "", 2, "--insecure memcached"},
		{"audit of no folder", "audit --data D/none", "", "", 2, "none: no such file or directory"},
		{"audit of no action", "audit --data D --action purged", "", "", 2, "--action purged is not one of audit_lost, backup"},
		{"audit of another folder", "audit --data D", "", "", 2, "is not the data of a server"},
		{"restore of nothing", "restore D/none.gqa --data D/new", "", "", 2, "none.gqa: no such file or directory"},
		{"memcached, no address", "serve --data D --memcached 22201", "", "", 2, "is not an address like 127.0.0.1:22201"},
		{"no door", "serve --data D --http off --memcached off", "", "", 2, "leaves no door open"},
		{"manager", "serve --data D --manager 0.0.0.0:0", "", "", 2, "--insecure manager"},
		{"manager, delivery", "serve --data D --manager-delivery never", "", "", 2,
			"not one of on_next_call, on_read, strict, on_task_done"},
		{"manager, delivery of a queue", "serve --data D --manager-delivery a/b=strict", "", "", 2,
			"--manager-delivery a/b=strict: bad name"},
		{"store", "serve --store redis://127.0.0.1", "", "", 2, "not in this build"},
		{"sync", "serve --data D --sync often", "", "", 2, "not one of always, interval, never"},
		{"body limit", "serve --data D --max-body 33MiB", "", "", 2, "not between 1 and 32MiB"},
		{"certificate alone", "serve --data D --tls-cert c", "", "", 2, "go together"},
		{"key file", "serve --data D --key-file D/none", "", "", 2, "read the key"},
		{"empty key", "serve --data D --key-file " + empty, "", "", 2, "is empty"},
		{"key of a space", "serve --data D --key-file " + blank, "", "", 2, "nothing but white space"},
		{"memcached address in use", "serve --data D --http 127.0.0.1:0 --memcached " + server[len("http://"):], "", "", 1,
			"take another address with --memcached, or --memcached off"},
		{"address in use", "serve --data D --http " + server[len("http://"):], "", "", 1,
			"stop the program that has it, or take another address"},
		{"address", "serve --data D --http 5080", "", "", 2, "not an address"},
		{"port beyond", "serve --data D --http 127.0.0.1:99999", "", "", 2, "invalid port"},
		{"port beyond, memcached", "serve --data D --http 127.0.0.1:0 --memcached 127.0.0.1:70000", "", "", 2, "--memcached off"},
		{"port beyond, target", "target --listen 127.0.0.1:99999", "", "", 2, "invalid port"},
		{"file as folder", "serve --http 127.0.0.1:0 --data " + key, "", "", 2, "a file is there, and a store is a folder"},
		{"locked folder", "serve --data " + filepath.Join(dir, "locked") + " --http 127.0.0.1:0", "", "", 6,
			"another server uses the directory"},
		{"locked folder, run", "run http://127.0.0.1:1/{0} -n 1 --data " + filepath.Join(dir, "locked"), "", "", 6,
			"another server uses the directory"},
		{"locked folder, repair", "repair --data " + filepath.Join(dir, "locked"), "", "", 6, "another server uses the directory"},
		{"locked folder, backup", "backup D/copy --data " + filepath.Join(dir, "locked"), "", "", 6, "copy the running server with --server"},
		{"out of range, in the environment", "work http --server S", "", "GLASSQ_CONCURRENCY=0", 2,
			"-c 0 is not between 1 and 100,000; -c is set by GLASSQ_CONCURRENCY"},

		{"template", "dispatch http://h/?q={1} -n 2", "", "", 2, "character 13"},
		{"template open", "run http://h/?q={0 -n 2", "", "", 2, "character 13: a { without its }"},
		{"no URL", "run h/?q={0} -n 2", "", "", 2, "character 1: a URL begins with http://"},
		{"lease", "run http://h/?q={0} -n 2 --lease 1ms", "", "", 2, "--lease 1ms is not between"},
		{"lease of tasks", "dispatch x{0} -n 2 --server S --lease 10ms", "", "", 2, "--lease 10ms is not between"},
		{"delay back", "dispatch x{0} -n 2 --server S --delay -1s", "", "", 2, "--delay and --ttl are not negative"},
		{"too many tries", "dispatch x{0} -n 2 --server S --attempts 4001", "", "", 2, "--attempts 4001 is not 1 to 4000"},
		{"no lines", "dispatch --server S http://h/{line}", "", "", 0, "there were no lines to make tasks of"},
		{"no count", "dispatch x{0}", "", "", 2, "say how many: -n 1000"},
		{"range", "dispatch x{0} --range 9..1", "", "", 2, "goes down"},
		{"two sources", "dispatch x{0} --range 1..9 -n 3", "", "", 2, "take one of"},
		{"no file", "dispatch --file D/none", "", "", 2, "no such file"},
		{"folder as file", "dispatch --file D", "", "", 2, "a folder, not a file"},
		{"bad line", "dispatch --server S --retry 0s --file " + bad, "", "", 2, "bad.ndjson, line 2"},
		{"bad line, what to do", "dispatch --server S --retry 0s --file " + bad, "", "", 2, "--skip-bad"},
		{"format of numbers", "dispatch x{0} -n 2 --format csv", "", "", 2, "is about the lines of a file"},
		{"bad line of a stream", "dispatch --server S --format ndjson", "{\"body\":1}\n\n{", "", 2, "standard input, line 3"},
		{"run conflict", "dispatch --server S --run taken y{0} -n 2", "", "", 2, "take another --run"},
		{"run name", "dispatch --server S --run a/b y{0} -n 2", "", "", 2, "--run: bad name"},
		{"priority", "dispatch --server S y{0} -n 2 --priority 10", "", "", 2, "not 0 to 9"},
		{"server absent", "dispatch --server A --retry 0s y{0} -n 2", "", "", 6, "start one with glassq serve"},
		{"server absent, one shot", "queue ls --server A", "", "", 6, "no answer from a server at " + absent},
		{"server address", "queue ls --server 127.0.0.1:1", "", "", 2, "is not like http://host:port"},
		{"server from the environment", "runs ls", "", "GLASSQ_SERVER=" + absent, 6, absent},
		{"no key", "queue ls --server G", "", "", 6, "--key-file"},
		{"wrong key", "work http --server G --key-file " + wrong, "", "", 6, "wrong, or was revoked"},
		{"wrong key, output", "output --run r --server G --key-file " + wrong, "", "", 6, "wrong, or was revoked"},
		{"body too large", "put --server S --retry 0s", strings.Repeat("x", 1025), "", 2, "the limit is 1024"},
		{"full queue", "put --server S --queue full --wait 10ms x", "", "", 1, "queue full"},
		{"wait for room", "put --server S --wait -1s x", "", "", 2, "--wait -1s is not between 0 and 10m"},
		{"queue name", "put --server S --queue a/b x", "", "", 2, "bad name"},
		{"queue name of dots", "put --server S --queue .. x", "", "", 2, `bad name "..": it means a folder in paths`},
		{"unknown queue", "queue show nowhere --server S", "", "", 1, "nowhere"},
		{"keys of an unknown queue", "keys nowhere --server S", "", "", 1, "nowhere"},
		{"unknown schedule", "schedule rm none --server S", "", "", 1, "there is no schedule none\n"},
		{"unknown run", "runs show none --server S", "", "", 1, "none"},
		{"empty queue", "get --queue none --server S", "", "", 1, "no task ready"},
		{"nothing to set", "queue set q --server S", "", "", 2, "nothing to set"},
		{"rate", "queue set q --rate -1 --server S", "", "", 2, "rate -1"},
		{"phase", "runs wait r --until over --server S", "", "", 2, "exists, complete, drained"},
		{"wait in vain", "runs wait taken --timeout 10ms --server S", "", "", 1, "is not complete after 10ms"},
		{"concurrency", "work http -c 0 --server S", "", "", 2, "-c 0"},
		{"lease of work", "work http --lease 100ms --server S", "", "", 2, "--lease 100ms is not between 1s and 12h"},
		{"queue of work", "work exec --queue a/b --server S true", "", "", 2, "--queue: bad name"},
		{"no time for a try", "work http --timeout 0 --server S", "", "", 2, "--timeout 0s: every try has an end"},
		{"engine", "work http --engine warp --server S", "", "", 2, "not one of auto, fast, std"},
		{"out is no results", "output --run r --server S --out " + notes, "", "", 2, "cannot be continued: line 1"},
		{"out and json", "output --run r --server S --json --out D/x", "", "", 2, "leave one out"},
		{"target", "target --listen 127.0.0.1:0 --errors 2", "", "", 2, "share of errors 2"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			args := strings.Fields(tt.args)
			temp := t.TempDir()
			for i, arg := range args {
				switch {
				case arg == "S":
					args[i] = server
				case arg == "A":
					args[i] = absent
				case arg == "G":
					args[i] = guarded
				case arg == "D" || strings.HasPrefix(arg, "D/"):
					args[i] = temp + arg[1:]
				}
			}
			var env []string
			if tt.env != "" {
				env = []string{tt.env}
			}
			_, errs, code := invoke(t, tt.stdin, env, args...)
			if code != tt.code || !strings.Contains(errs, tt.want) {
				t.Errorf("glassq %s: exit %d, stderr %q; want exit %d, %q", tt.args, code, errs, tt.code, tt.want)
			}
			if strings.Contains(errs, "goroutine ") {
				t.Errorf("glassq %s: a stack trace: %s", tt.args, errs)
			}
		})
	}
}

// Data that does not check out is refused with its file and exit code 8.
func TestDamagedData(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	s := start(t, nil, "serve", "--data", dir, "--http", "127.0.0.1:0")
	server := "http://" + s.addr()
	for range 3 {
		if _, errs, code := invoke(t, "", nil, "dispatch", "--server", server, "--single", "body{0}", "-n", "1000"); code != 0 {
			t.Fatalf("dispatch: exit %d: %s", code, errs)
		}
	}
	s.kill()
	logs, err := filepath.Glob(filepath.Join(dir, "segment-*.log"))
	if err != nil || len(logs) == 0 {
		t.Fatalf("segments = %v, %v", logs, err)
	}
	data, err := os.ReadFile(logs[0])
	if err != nil {
		t.Fatal(err)
	}
	at := strings.Index(string(data), "body500")
	if at < 0 {
		t.Fatal("no body500 in the log")
	}
	data[at] ^= 1
	write(t, logs[0], string(data))
	_, errs, code := invoke(t, "", nil, "serve", "--data", dir, "--http", "127.0.0.1:0")
	if code != exitStorage || !strings.Contains(errs, filepath.Base(logs[0])) || !strings.Contains(errs, "damaged") {
		t.Errorf("serve on damaged data: exit %d, %q; want exit 8 and the file", code, errs)
	}
}

func TestByHand(t *testing.T) {
	s := start(t, nil, "serve", "--store", "mem:", "--http", "127.0.0.1:0")
	env := []string{"GLASSQ_SERVER=http://" + s.addr()}
	tests := []struct {
		args, stdin, want string
	}{
		{"put --queue q --id a", "hello", "a\n"},
		{"put --queue q --id a hello", "", "a\n"},
		{"get --queue q", "", "hello\n"},
		{"put --queue q --id b -", "from a pipe", "b\n"},
		{"get --queue q", "", "from a pipe\n"},
		{"queue pause q", "", "q: paused true, rate no limit, attempts 20, max-tasks no limit, max-bytes no limit\n"},
		{"queue resume q", "", "q: paused false, rate no limit, attempts 20, max-tasks no limit, max-bytes no limit\n"},
		{"queue set q --rate 5 --max-bytes 1KiB --json", "",
			`{"paused":false,"rate":5,"attempts":0,"max_tasks":0,"max_bytes":1024}` + "\n"},
		{"dispatch --run r x{0} -n 3 --dry-run", "", "x0\nx1\nx2\n"},
		{"dispatch --run r x{0} -n 2 --dry-run --json --priority 9 --ttl 1h", "",
			`{"queue":"tasks","run":"r","n":0,"ttl":3600,"priority":9,"body":"x0"}` + "\n" +
				`{"queue":"tasks","run":"r","n":1,"ttl":3600,"priority":9,"body":"x1"}` + "\n"},
		{"dispatch --run r --format ndjson --skip-bad --dry-run", "{\"body\":\"a\"}\n{\n\"b\"\n", "a\nb\n"},
		{"dispatch --run r x{0} -n 3", "", ""},
		{"dispatch --run r x{0} -n 3", "", ""},
	}
	for _, tt := range tests {
		out, errs, code := invoke(t, tt.stdin, env, strings.Fields(tt.args)...)
		if out != tt.want || code != 0 {
			t.Errorf("glassq %s = %q, exit %d (%s); want %q", tt.args, out, code, errs, tt.want)
		}
	}
	if out, _, _ := invoke(t, "", env, "runs", "show", "r"); !strings.Contains(out,
		"put 3 = ok 0 + failed 0 + dead 0 + pending 3") {
		t.Errorf("runs show r = %s, want 3 put and pending", out)
	}
	if out, _, _ := invoke(t, "", env, "queue", "ls"); !strings.Contains(out, "tasks") {
		t.Errorf("queue ls = %s, want the queue tasks", out)
	}
	if err := s.cmd.Process.Signal(os.Interrupt); err == nil && s.wait() != 0 {
		t.Errorf("serve, interrupted: exit %d, want 0", s.cmd.ProcessState.ExitCode())
	}
}

func TestByteSize(t *testing.T) {
	tests := []struct {
		in, out string
		want    byteSize
		ok      bool
	}{
		{"16MiB", "16MiB", 16 << 20, true},
		{"1000", "1000", 1000, true},
		{"2KiB", "2KiB", 2048, true},
		{"0", "0", 0, true},
		{"-1", "", 0, false},
		{"9999999999GiB", "", 0, false},
		{"many", "", 0, false},
	}
	for _, tt := range tests {
		var b byteSize
		err := b.Set(tt.in)
		if b != tt.want || (err == nil) != tt.ok || tt.ok && b.String() != tt.out {
			t.Errorf("Set(%q) = %d (%s), %v; want %d (%s)", tt.in, b, b.String(), err, tt.want, tt.out)
		}
	}
}

func TestWatermark(t *testing.T) {
	for _, tt := range []struct {
		in    string
		total int64
		want  int64
		ok    bool
	}{
		{"5%", 1000, 50, true}, {"0", 1000, 0, true}, {"2MiB", 1000, 2 << 20, true}, {"12", 99, 12, true},
		{"-1", 0, 0, false}, {"200%", 0, 0, false}, {"", 0, 0, false}, {"NaN%", 0, 0, false}, {"9999999GiB", 0, 0, false},
	} {
		w, err := parseWatermark(tt.in)
		if (err == nil) != tt.ok || tt.ok && w.Of(tt.total) != tt.want {
			t.Errorf("parseWatermark(%q) of %d = %d, %v; want %d, ok %v", tt.in, tt.total, w.Of(tt.total), err, tt.want, tt.ok)
		}
	}
}
