// Package spec holds the documents that define what goes over the wire: JSON Schemas of task, lease
// and result, the HTTP door as OpenAPI, samples, and cases for clients in any language. The server
// serves them and glassq schema prints them; nothing at run time depends on what they say.
package spec

import "embed"

//go:embed schema/*.json openapi.yaml vectors/*.json
var files embed.FS

// OpenAPI is the HTTP door as an OpenAPI 3.1 document, in YAML.
func OpenAPI() []byte { return read("openapi.yaml") }

// Schemas lists the names of the JSON Schemas, sorted: lease, result, task.
func Schemas() []string { return names("schema") }

// Schema returns the JSON Schema (2020-12) of that name, and whether there is one.
func Schema(name string) ([]byte, bool) { return find("schema", name) }

// Vectors lists the names of the language-neutral cases, sorted.
func Vectors() []string { return names("vectors") }

// Vector returns the cases of that name, and whether there are any.
func Vector(name string) ([]byte, bool) { return find("vectors", name) }

func names(dir string) []string {
	list, err := files.ReadDir(dir)
	if err != nil {
		panic("spec: " + err.Error()) // embedded at build time
	}
	var out []string
	for _, e := range list {
		out = append(out, e.Name()[:len(e.Name())-len(".json")])
	}
	return out
}

func find(dir, name string) ([]byte, bool) {
	b, err := files.ReadFile(dir + "/" + name + ".json")
	return b, err == nil
}

func read(path string) []byte {
	b, err := files.ReadFile(path)
	if err != nil {
		panic("spec: " + err.Error()) // embedded at build time
	}
	return b
}
