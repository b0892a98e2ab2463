package main

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/glassq/glassq/internal/check"
)

// buildWorker builds the kit's own test worker.
func buildWorker(t *testing.T) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "worker.exe")
	if out, err := exec.Command("go", "build", "-o", bin,
		"../../internal/check/testdata/worker").CombinedOutput(); err != nil {
		t.Fatalf("build the worker: %v\n%s", err, out)
	}
	return bin
}

// verdicts runs the kit and returns which cases failed, with the reasons.
func verdicts(t *testing.T, args ...string) (failed map[string]string, passed []string) {
	t.Helper()
	return verdictsIn(t, nil, args...)
}

// verdictsIn is verdicts with an environment for the worker.
func verdictsIn(t *testing.T, env []string, args ...string) (failed map[string]string, passed []string) {
	t.Helper()
	out, stderr, code := invoke(t, "", env, append([]string{"check", "worker", "--json"}, args...)...)
	failed = map[string]string{}
	for line := range strings.Lines(out) {
		var v check.Verdict
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if v.OK {
			passed = append(passed, v.Case)
		} else {
			failed[v.Case] = v.Reason
		}
	}
	if (code == 0) != (len(failed) == 0) || code > 1 || len(failed)+len(passed) == 0 {
		t.Fatalf("check %v = exit %d with %d failed, %d passed\n%s", args, code, len(failed), len(passed), stderr)
	}
	return failed, passed
}

func TestCheckWorkerPasses(t *testing.T) {
	t.Parallel()
	failed, passed := verdicts(t, "--door", "http", "--patience", tooLong.String(), "--", buildWorker(t))
	if len(failed) > 0 || !slices.Equal(passed, check.Cases(check.DoorHTTP, nil)) {
		t.Errorf("a good worker: passed %v, failed %v", passed, failed)
	}
}

// TestCheckFindsBrokenWorkers breaks the worker in one way at a time: the kit names the case.
func TestCheckFindsBrokenWorkers(t *testing.T) {
	t.Parallel()
	bin := buildWorker(t)
	for _, tt := range []struct{ broken, fails, why string }{
		{"ascii", "unicode", "i of its result is not its body"},
		{"rounds", "big-integers", "rather than round it"},
		{"cuts", "large-body", "65536 bytes instead of 1048576"},
		{"stringly", "json", "i of its result"},
		{"always-ok", "failing-task", "it was to fail"},
		{"dies", "failing-task", "the worker has ended: exit status 3"},
		{"hangs", "malformed-task", "waited"},
		{"no-extend", "slow-task", "handed out twice"},
		{"brittle", "lease-lost", "waited"},
		{"polls", "idle", "instead of polling"},
		{"other-trace", "traceparent", "not of the task's trace"},
		{"deaf", "sigterm", "did not end"},
		{"gives-up", "server-restart", "does not go on"},
		{"strict", "unknown-members", "the worker has ended"},
		{"no-result", "echo", "without a result"},
		{"no-verdict", "echo", "missing property 'ok'"},
		{"takes", "echo", "without the lease"},
		{"aside", "echo", "without a result"},
	} {
		t.Run(tt.broken, func(t *testing.T) {
			t.Parallel()
			args := []string{"--door", "http", "--case", tt.fails}
			want := 0
			if tt.fails != "echo" {
				args, want = append(args, "--case", "echo"), 1
			}
			// What has to pass passes within the patience, which a slow machine needs more of.
			for patience := 4 * time.Second; ; patience *= 2 {
				failed, passed := verdicts(t, append(args, "--patience", patience.String(), "--", bin, "-broken", tt.broken)...)
				if strings.Contains(failed[tt.fails], tt.why) && len(failed) == 1 && len(passed) == want {
					return
				}
				if patience > tooLong/4 {
					t.Fatalf("a worker that %s: failed %v, passed %v; want %s with %q to fail alone", tt.broken, failed, passed,
						tt.fails, tt.why)
				}
			}
		})
	}
}

// TestCheckOwnFormat: a worker with tasks and results of its own passes when the kit is told what
// they look like, and is found out when it says failed of what went well.
func TestCheckOwnFormat(t *testing.T) {
	t.Parallel()
	worker := []string{"--", "sh", "-c", `while read -r line; do
		case $line in
		*bad*) echo '{"state":"no","o":{"ok":0,"err":"error"}}' ;;
		*) echo '{"state":"done","o":{"ok":1}}' ;;
		esac
	done`}
	args := []string{"--patience", tooLong.String(), "--body", `{"image":"{n}.png"}`, "--failing-body", `{"image":"bad"}`}
	names := check.Cases(check.DoorPipe, &check.Format{Failing: "bad"})
	failed, passed := verdicts(t, slices.Concat(args, []string{"--success", `"state":"done"`}, worker)...)
	if len(failed) > 0 || !slices.Equal(passed, names) {
		t.Errorf("passed %v, failed %v; want %v", passed, failed, names)
	}
	failed, _ = verdicts(t, slices.Concat(args, []string{"--success", `"state":"fine"`, "--case", "echo",
		"--patience", "5s"}, worker)...)
	if !strings.Contains(failed["echo"], "it was to succeed") {
		t.Errorf("a worker that says failed: %v", failed)
	}
}
