package httpdoor

import (
	"context"
	"errors"
	"testing"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/broker"
	"github.com/glassq/glassq/internal/disk"
	"github.com/glassq/glassq/internal/schema"
)

func TestQueueSchemas(t *testing.T) {
	e, err := disk.Open("mem:", disk.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	b, err := broker.NewWithSchemas(t.Context(), e, glassq.Limits{}, schema.Compile)
	if err != nil {
		t.Fatal(err)
	}
	const set = `{"task_schema":{"type":"object","required":["url"]},"result_schema":{"properties":{"o":{"required":["code"]}}}}`
	urls := "/v1/queues/urls"
	runSteps(t, New(b, Options{}), []step{
		{"a schema that is none", "PATCH", urls, typeJSON, `{"task_schema":{"type":"wood"}}`, 400,
			"task_schema of queue urls: at /type"},
		{"set", "PATCH", urls, typeJSON, set, 200, `"task_schema":{"type":"object","required":["url"]}`},
		{"text is no object", "POST", urls + "/tasks", typeJSON, `{"body":"x"}`, 422,
			`"code":"schema_mismatch","message":"the body does not agree with the schema of queue urls: at the top: got string, want object"`},
		{"octets", "POST", urls + "/tasks", typeJSON, `{"b64":"AP8="}`, 422, "wants text or JSON"},
		{"a range", "POST", urls + "/tasks", typeJSON, `{"run":"r","range":{"count":9},"body":{"url":"{0}"}}`, 501, "put its positions one by one"},
		{"one of two", "POST", urls + "/tasks", typeNDJSON, "{\"body\":{\"url\":1}}\n{\"body\":{}}\n", 422,
			"task 1: the body"},
		{"nothing was stored", "GET", urls, "", "", 200, `"ready":0`},
		{"good", "POST", urls + "/tasks", typeJSON, `{"body":{"url":"x"},"id":"a"}`, 200, "a"},
		{"another queue is free", "POST", "/v1/queues/free/tasks", typeJSON, `{"body":"x"}`, 200, ""},
		{"reserve", "POST", urls + "/reserve", "", "", 200, `"token":"1.urls"`},
		{"bad result", "POST", "/v1/ack", typeJSON, `{"token":"1.urls","result":{"o":{"ok":1}}}`, 422,
			"at /o: missing property 'code'"},
		{"the lease lives on", "GET", urls, "", "", 200, `"leased":1`},
		{"bad follow-up", "POST", "/v1/ack", typeJSON, `{"token":"1.urls","put":[{"queue":"urls","body":1}]}`, 422,
			"want object"},
		{"good result", "POST", "/v1/ack", typeJSON, `{"token":"1.urls","result":{"o":{"ok":1,"code":200}}}`, 200, ""},
		{"taken away", "PATCH", urls, typeJSON, `{"task_schema":"","result_schema":""}`, 200, `"max_bytes":0}`},
		{"all goes again", "POST", urls + "/tasks", typeJSON, `{"body":"x"}`, 200, ""},
		{"set again", "PATCH", urls, typeJSON, `{"task_schema":false}`, 200, ""},
		{"nothing goes", "POST", urls + "/tasks", typeJSON, `{"body":"x"}`, 422, "at the top"},
	})

	// Another broker on the same store, as after a restart, knows the schemas.
	again, err := broker.NewWithSchemas(t.Context(), e, glassq.Limits{}, schema.Compile)
	if err != nil {
		t.Fatal(err)
	}
	runSteps(t, New(again, Options{}), []step{
		{"still nothing goes", "POST", urls + "/tasks", typeJSON, `{"body":"x"}`, 422, "at the top"},
		{"drop", "DELETE", urls, "", "", 200, ""},
		{"its schema went with it", "POST", urls + "/tasks", typeJSON, `{"body":"x"}`, 200, ""},
	})
	runSteps(t, New(broker.New(e, glassq.Limits{}), Options{}), []step{
		{"without a compiler", "PATCH", urls, typeJSON, `{"task_schema":true}`, 501, "unsupported"},
	})
}

// TestChecksEndWithTheRequest: a put of many tasks whose client has gone is checked no further.
func TestChecksEndWithTheRequest(t *testing.T) {
	e, err := disk.Open("mem:", disk.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	checked := 0
	ctx, gone := context.WithCancel(t.Context())
	counts := func(string) (func([]byte) error, error) {
		return func([]byte) error {
			if checked++; checked == 2 {
				gone()
			}
			return nil
		}, nil
	}
	b, err := broker.NewWithSchemas(t.Context(), e, glassq.Limits{}, counts)
	if err != nil {
		t.Fatal(err)
	}
	all := glassq.Schema("true")
	if _, err := b.Configure(t.Context(), "q", glassq.SettingsChange{TaskSchema: &all}); err != nil {
		t.Fatal(err)
	}
	tasks := make([]glassq.Task, 100)
	for i := range tasks {
		tasks[i] = glassq.Task{Queue: "q", Type: glassq.TypeJSON, Body: []byte("1")}
	}
	if _, err := b.Put(ctx, tasks); !errors.Is(err, context.Canceled) || checked != 2 {
		t.Errorf("%v after %d checks; want the end of the request after 2", err, checked)
	}
}
