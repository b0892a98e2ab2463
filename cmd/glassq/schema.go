package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/schema"
	"github.com/glassq/glassq/spec"
	"github.com/spf13/cobra"
)

// schemaCmd prints the documents that define what goes over the wire.
func (a *app) schemaCmd() *cobra.Command {
	names := append(spec.Schemas(), "openapi")
	for _, v := range spec.Vectors() {
		names = append(names, "vectors/"+v)
	}
	return &cobra.Command{
		Use:   "schema [NAME]",
		Short: "Print the schemas and API documents",
		Long: `Print one of the documents that define what goes over the wire; without a name, list them.

JSON Schemas (2020-12): ` + strings.Join(spec.Schemas(), ", ") + `. openapi is the HTTP door (OpenAPI 3.1, YAML). vectors/… are cases
in JSON that a client in any language can be held to.`,
		Example: `  glassq schema result > result.json
  glassq schema openapi > openapi.yaml`,
		Args:      arguments(0, 1),
		ValidArgs: names,
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return a.printf("%s\n", strings.Join(names, "\n"))
			}
			text, ok := document(args[0])
			if !ok {
				return usagef("no document %q; there are: %s", args[0], strings.Join(names, ", "))
			}
			return a.printf("%s", text)
		},
	}
}

func document(name string) ([]byte, bool) {
	if name == "openapi" {
		return spec.OpenAPI(), true
	}
	if v, ok := strings.CutPrefix(name, "vectors/"); ok {
		return spec.Vector(v)
	}
	return spec.Schema(name)
}

// readSchema reads a schema from a file; no file means none. The text is checked before it is
// sent.
func readSchema(file string) (glassq.Schema, error) {
	if file == "" {
		return "", nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return "", usagef("schema: %v", err)
	}
	if _, err := schema.Compile(string(text)); err != nil {
		return "", usagef("schema %s: %v", file, err)
	}
	var s glassq.Schema
	if err := s.UnmarshalJSON(text); err != nil {
		return "", fmt.Errorf("schema %s: %w", file, err)
	}
	return s, nil
}
