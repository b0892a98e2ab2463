package main

import (
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/glassq/glassq/internal/check"
)

// TestMemcachedClients lets stock clients be workers of the kit. Each first goes through all verbs on a
// queue of its own (put, a duplicate, reserve, extend, nack, result and ack, a repeated ack, a get that
// waits) and ends with an error when one of them answers wrongly; then the kit drains 10,000 tasks through
// it, and everything else. PHP, Perl and what they need are in TestExamples.
func TestMemcachedClients(t *testing.T) {
	for _, c := range []struct {
		name    string
		probe   []string
		command []string
		install string
	}{
		{"pymemcache", []string{"/usr/bin/python3", "-c", "import pymemcache"}, []string{"/usr/bin/python3", "-B", "pymemcache_worker.py"}, "apt-get install python3-pymemcache"},
		{"pylibmc", []string{"/usr/bin/python3", "-c", "import pylibmc"}, []string{"/usr/bin/python3", "-B", "pylibmc_worker.py"}, "apt-get install python3-pylibmc"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if err := exec.Command(c.probe[0], c.probe[1:]...).Run(); err != nil {
				t.Skipf("needs %s: %s", c.name, c.install)
			}
			script, err := filepath.Abs(filepath.Join("testdata", "clients", c.command[len(c.command)-1]))
			if err != nil {
				t.Fatal(err)
			}
			command := append(c.command[:len(c.command)-1:len(c.command)-1], script)
			failed, passed := verdicts(t, append([]string{"--door", "memcache", "--patience", "20s", "--"}, command...)...)
			if len(failed) > 0 || !slices.Equal(passed, check.Cases(check.DoorMemcache)) {
				t.Errorf("%s: passed %v, failed %v", c.name, passed, failed)
			}
		})
	}
}
