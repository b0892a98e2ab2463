package schema

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// TestSmallSchemas: short schemas and bodies that would take long or much are refused, in a
// sentence.
func TestSmallSchemas(t *testing.T) {
	var nest strings.Builder // each refers twice to the next
	for i := range 40 {
		fmt.Fprintf(&nest, `"a%d":{"allOf":[{"$ref":"#/$defs/a%d"},{"$ref":"#/$defs/a%d"}]},`, i, i+1, i+1)
	}
	laughs := `{"$ref":"#/$defs/a0","$defs":{` + nest.String() + `"a40":{}}}`
	deep := strings.Repeat("[", 60) + strings.Repeat("]", 60)
	pattern := func(p string) string { return `{"pattern":"` + p + `"}` }
	many := `{"allOf":[` + strings.Repeat(pattern("(?:abcdefghij){1000}")+",", 2000) + `{}]}`
	tests := []struct {
		name, schema, body string
		want               string // a part of the error of either, "" for none
	}{
		{"references that double", laughs, `1`, "too many steps"},
		{"references that double, negated", `{"not":` + strings.ReplaceAll(laughs, "#/", "#/not/") + `}`, `1`,
			"too many steps"},
		{"references that double with the depth of the body", `{"items":{"allOf":[{"$ref":"#"},{"$ref":"#"}]}}`, deep,
			"too many steps"},
		{"the same by alternatives", `{"items":{"anyOf":[{"$ref":"#"},{"$ref":"#"}],"not":{"$ref":"#"}}}`, deep,
			"too many steps"},
		{"the same by dynamic references", `{"$dynamicAnchor":"x","items":{"allOf":[{"$dynamicRef":"#x"},{"$dynamicRef":"#x"}]}}`, deep, "too many steps"},
		{"patterns that repeat", many, `""`, "its patterns are too large"},
		{"a pattern of a million parts", pattern("(?:" + strings.Repeat("a", 1000) + "){1000}"), `""`,
			"its patterns are too large"},
		{"a pattern on a long text", pattern("(?:[ab]{0,9}c){50}"), `"` + strings.Repeat("a", 1<<20) + `"`, "too many steps"},
		{"a usual pattern on a long text", pattern("^[a-z]+$"), `"` + strings.Repeat("a", 1<<20) + `"`, ""},
		{"a pattern in the body", `{"$schema":"http://json-schema.org/draft-07/schema#","format":"regex"}`,
			`"(?:` + strings.Repeat("a", 1000) + `){1000}"`, "too many steps"},
		{"a number with a large exponent", `{"type":"integer"}`, `[1e999999999]`, "too long to be compared"},
		{"a number of many digits", `{"multipleOf":3}`, strings.Repeat("7", 1<<20), "too long to be compared"},
		{"a limit with a large exponent", `{"maximum":1e999999999}`, `1`, "too long to be compared"},
		{"the largest float64", `{"type":"number"}`, `1.7976931348623157e308`, ""},
		{"numbers in texts", `{"type":"string"}`, `"1e999999999 \" 1e999999999"`, ""},
		{"millions of values", `{"items":{"type":"string"}}`, "[" + strings.Repeat("1,", 4<<20) + "1]", "values"},
		{"many values", `{"items":{"type":"integer"},"uniqueItems":false}`, "[" + strings.Repeat("1,", 100_000) + "1]", ""},
		{"unique items", `{"uniqueItems":true}`, "[" + strings.Repeat("[1],", 50_000) + "1]", "items at"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			check, err := Compile(tt.schema)
			if err == nil {
				err = check([]byte(tt.body))
			}
			runtime.ReadMemStats(&after)
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v; want %q", err, tt.want)
			}
			if used := (after.TotalAlloc - before.TotalAlloc) >> 20; used > 256 {
				t.Errorf("%d MiB allocated", used)
			}
		})
	}
}
