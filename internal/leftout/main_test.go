package main

import (
	"strings"
	"testing"
)

const events = `{"Action":"start","Package":"p"}
{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Test":"TestA","Output":"=== RUN   TestA\n"}
{"Action":"output","Package":"p","Test":"TestA","Output":"    a_test.go:9: needs php: apt-get install php-cli\n"}
{"Action":"output","Package":"p","Test":"TestA","Output":"--- SKIP: TestA (0.00s)\n"}
{"Action":"skip","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Test":"TestB","Output":"    a_test.go:12: got 1, want 2\n"}
{"Action":"fail","Package":"p","Test":"TestB"}
{"Action":"output","Package":"p","Test":"TestC","Output":"quiet\n"}
{"Action":"pass","Package":"p","Test":"TestC"}
{"Action":"output","Package":"p","Test":"TestD","Output":"panic: here\n"}
{"Action":"output","Package":"p","Output":"FAIL\tp\t0.1s\n"}
{"Action":"fail","Package":"p"}
not json
`

func TestFollow(t *testing.T) {
	var out strings.Builder
	told, err := follow(strings.NewReader(events), &out)
	if err != nil {
		t.Fatal(err)
	}
	skips := told.skips
	want := skip{"p", "TestA", "needs php: apt-get install php-cli"}
	if len(skips) != 1 || skips[0] != want {
		t.Errorf("skips = %v, want %v", skips, want)
	}
	for _, s := range []string{"got 1, want 2", "FAIL\tp\t0.1s", "not json", "panic: here"} {
		if !strings.Contains(out.String(), s) {
			t.Errorf("output lacks %q:\n%s", s, out.String())
		}
	}
	if strings.Contains(out.String(), "quiet") {
		t.Errorf("output of a passed test was printed:\n%s", out.String())
	}
}

// TestAgain: a package is run once more where the race detector broke down and nothing else failed.
func TestAgain(t *testing.T) {
	const broke = `{"Action":"output","Package":"q","Test":"TestA","Output":"ThreadSanitizer: CHECK failed: tsan_rtl.cpp:346\n"}
{"Action":"output","Package":"q","Output":"FAIL\tq\t0.1s\n"}
{"Action":"fail","Package":"q"}
`
	fault := func(says string) string {
		return strings.Replace(broke, "ThreadSanitizer: CHECK failed: tsan_rtl.cpp:346", says, 1)
	}
	for _, tt := range []struct{ name, events, want string }{
		{"the detector", broke, "q"},
		{"a fault in the detector's code", fault("SIGSEGV: segmentation violation"), "q"},
		{"a fault in Go's code", fault("panic: runtime error: invalid memory address or nil pointer dereference"), ""},
		{"a fault in Go's code, its signal", fault("[signal SIGSEGV: segmentation violation code=0x1 addr=0x0 pc=0x41bce9]"), ""},
		{"the detector, and a test elsewhere", broke + events, ""},
		{"the detector, after a test of the package", `{"Action":"fail","Package":"q","Test":"TestB"}` + "\n" + broke, ""},
		{"a data race", strings.Replace(broke, "ThreadSanitizer: CHECK failed", "WARNING: DATA RACE", 1), ""},
		{"nothing", `{"Action":"pass","Package":"q"}`, ""},
	} {
		var out strings.Builder
		told, err := follow(strings.NewReader(tt.events), &out)
		if got := strings.Join(told.again(), " "); err != nil || got != tt.want {
			t.Errorf("%s: again %q, %v; want %q", tt.name, got, err, tt.want)
		}
	}
}
