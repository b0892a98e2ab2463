package arch

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// licences are those that this program may be made of, by sentences that their texts have.
var licences = []struct {
	name   string
	says   []string
	tested bool // only where tests alone use the module
}{
	{"Apache-2.0", []string{"Apache License", "Version 2.0"}, false},
	{"BSD", []string{"Redistribution and use in source and binary forms", "AS IS"}, false},
	{"MIT", []string{"Permission is hereby granted, free of charge", "AS IS"}, false},
	{"ISC", []string{"Permission to use, copy, modify, and/or distribute this software for any purpose"}, false},
	{"Unlicense", []string{"This is free and unencumbered software released into the public domain"}, false},
	{"MPL-2.0", []string{"Mozilla Public License", "2.0"}, true},
}

// modules are those that packages of this module are built with, and where they lie.
func modules(t *testing.T, args ...string) map[string]string {
	t.Helper()
	cmd := exec.Command("go", append(append([]string{"list", "-deps"}, args...), "-f",
		"{{with .Module}}{{if not .Main}}{{.Path}}\t{{.Dir}}{{end}}{{end}}", "./...")...)
	cmd.Dir = filepath.Join("..", "..")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v", cmd.Args, err)
	}
	found := map[string]string{}
	for line := range strings.Lines(string(out)) {
		if path, dir, ok := strings.Cut(strings.TrimSpace(line), "\t"); ok {
			found[path] = dir
		}
	}
	return found
}

// TestLicences: every module that is built in, or that tests use, has a licence of the list.
func TestLicences(t *testing.T) {
	product := modules(t)
	all := modules(t, "-test")
	if len(product) < 5 || len(all) < len(product) {
		t.Fatalf("%d modules, %d with tests: the test does not see them", len(product), len(all))
	}
	for _, path := range slices.Sorted(maps.Keys(all)) {
		var text strings.Builder
		for _, name := range []string{"LICENSE*", "LICENCE*", "License*", "COPYING*", "UNLICENSE*"} {
			files, _ := filepath.Glob(filepath.Join(all[path], name))
			for _, file := range files {
				if b, err := os.ReadFile(file); err == nil {
					text.Write(b)
				}
			}
		}
		words := strings.Join(strings.Fields(text.String()), " ")
		_, built := product[path]
		ok := false
		for _, l := range licences {
			has := !slices.ContainsFunc(l.says, func(s string) bool { return !strings.Contains(words, s) })
			ok = ok || has && (!l.tested || !built)
		}
		if !ok {
			t.Errorf("%s has no licence that is on the list (%d bytes of text)", path, len(words))
		}
	}
}
