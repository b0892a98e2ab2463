package glassq_test

import (
	"encoding/json"
	"testing"

	"github.com/glassq/glassq"
)

func TestSchemaInJSON(t *testing.T) {
	tests := []struct {
		name, in, out string
		schema        glassq.Schema
	}{
		{"a schema", `{"task_schema":{ "type": "object" }}`, `{"type":"object"}`, `{"type":"object"}`},
		{"true", `{"task_schema":true}`, `true`, `true`},
		{"taken away", `{"task_schema":""}`, `""`, ``},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var c glassq.SettingsChange
			if err := json.Unmarshal([]byte(tt.in), &c); err != nil {
				t.Fatal(err)
			}
			s := c.Apply(glassq.Settings{TaskSchema: "old"})
			if s.TaskSchema != tt.schema {
				t.Errorf("schema of %s = %q, want %q", tt.in, s.TaskSchema, tt.schema)
			}
			if b, err := json.Marshal(s.TaskSchema); err != nil || string(b) != tt.out {
				t.Errorf("marshal %q = %s, %v; want %s", s.TaskSchema, b, err, tt.out)
			}
		})
	}
}
