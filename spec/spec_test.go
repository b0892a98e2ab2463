package spec_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/glassq/glassq/spec"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// TestSamples holds each schema against samples that it must accept and samples that it must
// refuse.
func TestSamples(t *testing.T) {
	for _, name := range spec.Schemas() {
		text, _ := spec.Schema(name)
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		c := jsonschema.NewCompiler()
		if err := c.AddResource(name, doc); err != nil {
			t.Fatal(err)
		}
		schema, err := c.Compile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, kind := range []string{"valid", "invalid"} {
			files, err := filepath.Glob(filepath.Join("samples", name, kind, "*.json"))
			if err != nil || len(files) < 3 {
				t.Fatalf("samples of %s, %s: %d files, %v", name, kind, len(files), err)
			}
			for _, file := range files {
				b, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				v, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
				if err != nil {
					t.Fatalf("%s: %v", file, err)
				}
				if err := schema.Validate(v); (err == nil) != (kind == "valid") {
					t.Errorf("%s: validate = %v, want %s", file, err, kind)
				}
			}
		}
	}
}

// TestVectors: the cases are there, and they are JSON with an explanation.
func TestVectors(t *testing.T) {
	names := spec.Vectors()
	if len(names) < 4 {
		t.Errorf("vectors = %v, want at least envelopes, names, outcomes, tokens", names)
	}
	for _, name := range names {
		text, ok := spec.Vector(name)
		var v struct{ About string }
		if err := json.Unmarshal(text, &v); !ok || err != nil || v.About == "" {
			t.Errorf("vector %s: %v, about %q", name, err, v.About)
		}
	}
}

// TestOpenAPILint lets the usual linter read the OpenAPI document.
func TestOpenAPILint(t *testing.T) {
	tool, err := filepath.Abs("../.ci/npm/node_modules/.bin/redocly")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(tool); err != nil {
		t.Skip("needs redocly: npm install in .ci/npm")
	}
	cmd := exec.Command(tool, "lint", "--config", "redocly.yaml", "openapi.yaml")
	cmd.Env = append(os.Environ(), "REDOCLY_TELEMETRY=off", "NO_COLOR=1")
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "valid") {
		t.Errorf("redocly lint: %v\n%s", err, out)
	}
}
