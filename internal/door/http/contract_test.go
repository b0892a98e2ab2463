package httpdoor

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/disk"
	"github.com/glassq/glassq/spec"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"
)

const docURL = "file:///spec/openapi.yaml"

// A contract is the HTTP door's documents, and a server that is held to them.
type contract struct {
	t        *testing.T
	url      string
	server   *Server
	compiler *jsonschema.Compiler
	paths    map[string]map[string]operation // by path and method
	driven   map[string]bool                 // "operationId 200 media type"
}

type operation struct {
	ID         string      `yaml:"operationId"`
	Parameters []parameter `yaml:"parameters"`
	Body       struct {
		Content map[string]any `yaml:"content"`
	} `yaml:"requestBody"`
	Responses map[string]struct {
		Ref     string         `yaml:"$ref"`
		Content map[string]any `yaml:"content"`
	} `yaml:"responses"`
}

type parameter struct {
	Ref  string `yaml:"$ref"`
	Name string `yaml:"name"`
	In   string `yaml:"in"`
}

func newContract(t *testing.T, opt disk.Options) *contract {
	t.Helper()
	c := &contract{t: t, server: New(openStoreWith(t, opt), Options{Reload: func() (glassq.Reloaded, error) {
		return glassq.Reloaded{Changed: []string{"log-level"}, Restart: []string{}}, nil
	}}), driven: map[string]bool{}}
	hs := httptest.NewServer(c.server)
	t.Cleanup(hs.Close)
	c.url = hs.URL

	c.compiler = jsonschema.NewCompiler()
	var doc any
	if err := yaml.Unmarshal(spec.OpenAPI(), &doc); err != nil {
		t.Fatal(err)
	}
	c.resource(docURL, mustJSON(t, doc))
	for _, name := range spec.Schemas() {
		text, _ := spec.Schema(name)
		c.resource("file:///spec/schema/"+name+".json", text)
	}
	var parsed struct {
		Paths map[string]map[string]yaml.Node `yaml:"paths"`
	}
	if err := yaml.Unmarshal(spec.OpenAPI(), &parsed); err != nil {
		t.Fatal(err)
	}
	c.paths = map[string]map[string]operation{}
	for path, items := range parsed.Paths {
		c.paths[path] = map[string]operation{}
		for method, node := range items {
			if method == "parameters" {
				continue
			}
			var op operation
			if err := node.Decode(&op); err != nil {
				t.Fatalf("%s %s: %v", method, path, err)
			}
			c.paths[path][method] = op
		}
	}
	return c
}

func mustJSON(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (c *contract) resource(url string, text []byte) {
	c.t.Helper()
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err == nil {
		err = c.compiler.AddResource(url, v)
	}
	if err != nil {
		c.t.Fatalf("%s: %v", url, err)
	}
}

// find returns the documented path and operation that a request belongs to.
func (c *contract) find(method, path string) (string, operation, bool) {
	bare, _, _ := strings.Cut(path, "?")
	for template, methods := range c.paths {
		pattern := "^" + regexp.MustCompile(`\\\{[a-z]+\\\}`).ReplaceAllString(regexp.QuoteMeta(template), "[^/]+") + "$"
		if op, ok := methods[strings.ToLower(method)]; ok && regexp.MustCompile(pattern).MatchString(bare) {
			return template, op, true
		}
	}
	return "", operation{}, false
}

func escape(s string) string {
	return strings.NewReplacer("~", "~0", "/", "~1", "{", "%7B", "}", "%7D", "*", "%2A").Replace(s)
}

// schema compiles the schema of a body at a place in the document.
func (c *contract) schema(pointer string) *jsonschema.Schema {
	c.t.Helper()
	s, err := c.compiler.Compile(docURL + "#" + pointer)
	if err != nil {
		c.t.Fatalf("schema at %s: %v", pointer, err)
	}
	return s
}

// texts splits a body into its JSON texts.
func texts(media string, body []byte) [][]byte {
	if media != typeNDJSON {
		return [][]byte{body}
	}
	return slices.DeleteFunc(bytes.Split(body, []byte{'\n'}), func(b []byte) bool { return len(b) == 0 })
}

func (c *contract) validate(s *jsonschema.Schema, media string, body []byte, what string) {
	c.t.Helper()
	for _, text := range texts(media, body) {
		v, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err == nil {
			err = s.Validate(v)
		}
		if err != nil {
			c.t.Errorf("%s: %s\ndoes not agree with the documents: %v", what, text, err)
		}
	}
}

// call sends a request, holds it and its answer to the documents, and returns the answer.
func (c *contract) call(method, path, media, body string, want int) []byte {
	c.t.Helper()
	what := method + " " + path
	template, op, ok := c.find(method, path)
	if !ok {
		c.t.Fatalf("%s is not documented", what)
	}
	at := "/paths/" + escape(template) + "/" + strings.ToLower(method)
	if _, documented := op.Body.Content[media]; documented && want == http.StatusOK {
		c.validate(c.schema(at+"/requestBody/content/"+escape(media)+"/schema"), media, []byte(body), what+" request")
	}
	req, err := http.NewRequest(method, c.url+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	if media != "" {
		req.Header.Set("Content-Type", media)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	if resp.StatusCode != want {
		c.t.Errorf("%s = %d %s, want %d", what, resp.StatusCode, answer, want)
	}
	status := resp.Status[:3]
	r, ok := op.Responses[status]
	if !ok {
		c.t.Errorf("%s answered %s, which is not documented: %s", what, status, answer)
		return answer
	}
	pointer, got := at+"/responses/"+status, resp.Header.Get("Content-Type")
	content := r.Content
	if r.Ref != "" {
		pointer = strings.TrimPrefix(r.Ref, "#")
		content = map[string]any{typeJSON: nil}
	}
	if len(content) == 0 {
		if len(answer) > 0 {
			c.t.Errorf("%s: %s has a body that is not documented: %s", what, status, answer)
		}
	} else if _, ok := content[got]; !ok {
		c.t.Errorf("%s: %s came as %q, which is not documented", what, status, got)
	} else if got != "application/yaml" && got != typeTar && got != typeArchive && !strings.HasPrefix(got, "text/") {
		c.validate(c.schema(pointer+"/content/"+escape(got)+"/schema"), got, answer, what+" answer")
	}
	c.driven[op.ID+" "+status+" "+got] = true
	return answer
}

// lease reserves one task and returns its token.
func (c *contract) lease(queue string) string {
	c.t.Helper()
	var l struct{ Token string }
	answer := c.call("POST", "/v1/queues/"+queue+"/reserve", "", "", 200)
	if err := json.Unmarshal(answer, &l); err != nil || l.Token == "" {
		c.t.Fatalf("lease of %s: %s, %v", queue, answer, err)
	}
	return l.Token
}

// TestContract drives every documented operation against a real server, and holds every answer,
// errors included, to the documents.
func TestContract(t *testing.T) {
	c := newContract(t, disk.Options{})
	tasks := "/v1/queues/tasks/tasks"
	c.call("POST", tasks, typeJSON, `{"body":"a"}`, 200)
	c.call("POST", tasks, typeJSON, `[{"body":"b"},{"b64":"AP8=","id":"own","priority":9,"headers":{"k":"v"}}]`, 200)
	c.call("POST", tasks, typeNDJSON, "{\"body\":{\"x\":1},\"run\":\"r1\",\"n\":0}\n{\"body\":\"c\",\"run\":\"r1\",\"n\":1}\n", 200)
	c.call("POST", tasks+"?answer=count", typeNDJSON,
		"{\"body\":\"d\",\"id\":\"own\"}\n{\"body\":\"c\",\"run\":\"r1\",\"n\":2}\n", 200)
	c.call("POST", tasks+"?id=raw&run=r1&priority=4&delay=1h&ttl=2h&attempts=3&lease=10s&result=elsewhere&key=k",
		"text/plain", "raw", 200)
	c.call("POST", "/v1/queues/moved/tasks?import=true", typeJSON, `{"body":"a"}`, 200)
	c.call("POST", "/v1/queues/moved/tasks?import=true&wait=1s", typeJSON, `{"body":"a"}`, 400)
	c.call("POST", tasks, typeJSON, `{"body":"a","priority":10}`, 400)
	c.call("POST", "/v1/queues/a%20b/tasks", typeJSON, `{"body":"a"}`, 400)
	c.call("POST", tasks, typeJSON, `{"body":"`+strings.Repeat("x", glassq.DefaultMaxBody+1)+`"}`, 413)
	one := `{"max_tasks":1}`
	c.call("PATCH", "/v1/queues/small", typeJSON, one, 200)
	c.call("POST", "/v1/queues/small/tasks", typeJSON, `[{"body":"a"},{"body":"b"}]`, 429)
	c.call("POST", "/v1/queues/sealed/tasks", typeJSON, `{"body":"a","run":"done","n":0}`, 200)
	c.call("POST", "/v1/runs/done", typeJSON, `{"sealed":true,"total":1}`, 200)
	c.call("POST", "/v1/queues/sealed/tasks", typeJSON, `{"body":"a","run":"done","n":1}`, 409)

	c.call("POST", "/v1/queues/empty/reserve?max=1&wait=0&lease=2s", "", "", 204)
	c.call("POST", "/v1/queues/tasks/reserve?max=x", "", "", 400)
	c.call("POST", "/v1/queues/tasks/reserve?take=true", "", "", 200)
	token := c.lease("tasks")
	c.call("POST", "/v1/extend", typeJSON, `{"token":"`+token+`","lease":"30s"}`, 200)
	c.call("POST", "/v1/extend", typeNDJSON, `{"token":"`+token+`"}`, 200)
	c.call("POST", "/v1/extend", typeJSON, `{"token":"`+token+`","seq":1,"progress":0.4,"note":"page 40","checkpoint":"at 40",
		"put":[{"queue":"partials","body":"p","run":"going","n":0}]}`, 200)
	c.call("POST", "/v1/extend", typeJSON, `{"token":"`+token+`","seq":2,"checkpoint_b64":"/wA="}`, 200)
	c.call("GET", "/v1/queues/tasks/peek?state=leased", "", "", 200)
	c.call("GET", "/v1/queues/tasks/tasks/"+token, "", "", 200)
	c.call("GET", "/v1/queues/tasks", "", "", 200)
	c.call("POST", "/v1/nack", typeJSON, `{"token":"`+token+`","undone":true}`, 200)
	token = c.lease("tasks")
	c.call("POST", "/v1/extend", typeJSON, `{"token":"`+c.lease("partials")+`","seq":1,"progress":1}`, 200)
	c.call("GET", "/v1/runs/going", "", "", 200)
	c.call("POST", "/v1/ack", typeJSON, `{"token":"`+token+`","result":{"i":"a","o":{"ok":1,"rt":0.1}},"put":[{"queue":"next","body":"f"}]}`, 200)
	c.call("POST", "/v1/ack", typeJSON, `{"token":"9007199254740991.tasks"}`, 409)
	c.call("POST", "/v1/ack", typeJSON, `{"token":"x"}`, 400)
	c.call("POST", "/v1/ack", typeNDJSON, "{\"token\":\""+token+"\"}\n{\"token\":\"9007199254740991.tasks\"}\n", 200)
	c.call("POST", "/v1/ack?answer=errors", typeNDJSON, "{\"token\":\"9007199254740991.tasks\"}\n", 200)
	c.call("POST", "/v1/nack", typeJSON, `{"token":"`+c.lease("tasks")+`","delay":"1h","reason":"busy"}`, 200)
	c.call("POST", "/v1/nack", typeNDJSON, `{"token":"`+c.lease("tasks")+`","dead":true}`, 200)

	c.call("GET", "/v1/queues", "", "", 200)
	c.call("GET", "/v1/queues?name=tasks&name=results", "", "", 200)
	c.call("GET", "/v1/queues?name=nowhere", "", "", 404)
	c.call("GET", "/v1/queues/tasks", "", "", 200)
	c.call("GET", "/v1/queues/nowhere", "", "", 404)
	for _, state := range []string{"ready", "delayed", "leased", "dead"} {
		c.call("GET", "/v1/queues/tasks/peek?max=1&state="+state, "", "", 200)
	}
	c.call("GET", "/v1/queues/tasks/peek?state=gone", "", "", 400)
	c.call("GET", "/v1/queues/results/peek", "", "", 200)
	c.call("PATCH", "/v1/queues/tasks", typeJSON, `{"paused":false,"rate":1000,"attempts":5,"max_bytes":1000000}`, 200)
	c.call("PATCH", "/v1/queues/tasks", typeJSON, `{"rate":-1}`, 400)
	c.call("PATCH", "/v1/queues/halting", typeJSON, `{"halt":"fail=30%"}`, 400)
	c.call("PATCH", "/v1/queues/halting", typeJSON, `{"halt_resume":0.5}`, 400)
	c.call("PATCH", "/v1/queues/halting", typeJSON, `{"halt":"failed>0% of 1","halt_resume":60}`, 200)
	c.call("POST", "/v1/queues/halting/tasks", typeJSON, `[{"body":"a"},{"body":"b"}]`, 200)
	c.call("POST", "/v1/nack", typeJSON, `{"token":"`+c.lease("halting")+`","dead":true}`, 200)
	c.call("POST", "/v1/queues/halting/reserve", "", "", 204)
	c.call("GET", "/v1/queues/halting", "", "", 200)
	c.call("GET", "/v1/queues/halting/explain", "", "", 200)
	c.call("PATCH", "/v1/queues/halting", typeJSON, `{"paused":false}`, 200)
	c.call("POST", "/v1/queues/halting/reserve", "", "", 200)
	c.call("PATCH", "/v1/queues/halting", typeJSON, `{"halt_per":"host"}`, 400)
	c.call("PATCH", "/v1/queues/halting", typeJSON, `{"halt_per":"key"}`, 200)
	c.call("POST", "/v1/queues/halting/tasks", typeJSON, `[{"body":"a","key":"a"},{"body":"b","key":"a"}]`, 200)
	c.call("POST", "/v1/nack", typeJSON, `{"token":"`+c.lease("halting")+`","dead":true}`, 200)
	c.call("POST", "/v1/queues/halting/reserve", "", "", 204)
	c.call("GET", "/v1/queues/halting", "", "", 200)
	c.call("GET", "/v1/queues/halting/keys", "", "", 200)
	c.call("GET", "/v1/queues/halting/explain", "", "", 200)
	c.call("POST", "/v1/queues/halting/release?key=a", "", "", 200)
	c.call("POST", "/v1/queues/halting/reserve", "", "", 200)
	c.call("PATCH", "/v1/queues/tasks", typeJSON, `{"colour":"red"}`, 400)
	c.call("POST", "/v1/queues/tasks/redrive?max=1", "", "", 200)
	c.call("POST", "/v1/queues/nowhere/redrive", "", "", 404)
	c.call("PATCH", "/v1/queues/byhost", typeJSON, `{"fair":true,"keys":{"concurrency":4,"rate":"60/m","cost_rate":90,
		"overrides":{"slow*":{"rate":"6/m","weight":2}}}}`, 200)
	c.call("PATCH", "/v1/queues/byhost", typeJSON, `{"keys":{"weight":0}}`, 400)
	c.call("POST", "/v1/queues/byhost/tasks", typeJSON, `[{"body":1,"key":"a","cost":7},{"body":2,"key":"b"}]`, 200)
	c.call("POST", "/v1/queues/byhost/tasks", typeJSON, `{"body":1,"cost":0}`, 400)
	c.call("POST", "/v1/queues/byhost/tasks", typeJSON, `{"body":1,"key":"`+strings.Repeat("k", 129)+`"}`, 400)
	held := c.lease("byhost")
	c.call("POST", "/v1/nack", typeJSON, `{"token":"`+held+`","hold":"2h"}`, 400)
	c.call("POST", "/v1/nack", typeJSON, `{"token":"`+held+`","hold":"20s","reason":"status 429"}`, 200)
	c.call("POST", "/v1/ack", typeJSON, `{"token":"`+c.lease("byhost")+`","cost":3}`, 200)
	c.call("GET", "/v1/queues/byhost", "", "", 200)
	c.call("GET", "/v1/queues/byhost/keys?max=1", "", "", 200)
	c.call("GET", "/v1/queues/byhost/keys?max=0", "", "", 400)
	c.call("GET", "/v1/queues/nowhere/keys", "", "", 404)
	c.call("POST", "/v1/queues/byhost/release?key=a", "", "", 200)
	c.call("POST", "/v1/queues/byhost/release?key=a", "", "", 404)
	c.call("POST", "/v1/queues/byhost/release", "", "", 400)
	c.call("POST", "/v1/queues/tasks/purge?state=delayed&state=dead", "", "", 200)
	c.call("POST", "/v1/queues/tasks/purge?state=leased", "", "", 400)
	c.call("DELETE", "/v1/queues/small", "", "", 200)
	c.call("DELETE", "/v1/queues/nowhere", "", "", 404)

	c.call("GET", "/v1/runs", "", "", 200)
	c.call("POST", "/v1/runs/r2", typeJSON, `{"source":"s","queue":"tasks","results":"results.r2"}`, 200)
	c.call("POST", "/v1/runs/r2", typeJSON, `{"source":"other"}`, 409)
	c.call("GET", "/v1/runs/r1?until=exists&wait=1s", "", "", 200)
	c.call("GET", "/v1/runs/nowhere", "", "", 404)
	c.call("GET", "/v1/runs/r1/ids?state=put&from=0&max=1", "", "", 200)
	c.call("GET", "/v1/runs/r1/ids?state=x", "", "", 400)
	c.call("POST", "/v1/runs/r1/cancel", "", "", 200)
	c.call("POST", "/v1/runs/nowhere/cancel", "", "", 404)
	c.call("DELETE", "/v1/runs/r2", "", "", 409)
	c.call("POST", "/v1/runs/r2/cancel", "", "", 200)
	c.call("DELETE", "/v1/runs/r2", "", "", 200)
	c.call("DELETE", "/v1/runs/nowhere", "", "", 404)

	c.call("GET", "/v1/stats", "", "", 200)
	c.call("GET", "/v1/whoami", "", "", 200)
	c.call("GET", "/v1/queues/tasks/explain", "", "", 200)
	c.call("GET", "/v1/queues/nowhere/explain", "", "", 404)
	c.call("POST", "/v1/queues/tasks/tasks", typeJSON, `{"body":"x","run":"first"}`, 200)
	c.call("POST", "/v1/runs/hooked", typeJSON,
		`{"on_end":{"queue":"ends","priority":9},"on_failed":{"queue":"ends"},"after":"first","after_any":true}`, 200)
	c.call("POST", "/v1/runs/hooked", typeJSON, `{"on_end":{"queue":"ends","body":"x"}}`, 400)
	c.call("POST", "/v1/runs/first", typeJSON, `{"after":"hooked"}`, 409)
	c.call("GET", "/v1/runs/hooked", "", "", 200)
	c.call("GET", "/v1/schedules", "", "", 200)
	c.call("POST", "/v1/schedules/s", typeJSON, `{"paused":true}`, 404)
	c.call("POST", "/v1/schedules/s", typeJSON, `{"cron":"0 0 30 2 *","task":{"queue":"q","body":1}}`, 400)
	c.call("POST", "/v1/schedules/s", typeJSON,
		`{"cron":"*/5 * * * *","zone":"Europe/Berlin","missed":"all","task":{"queue":"q","body":{"x":1}}}`, 200)
	c.call("POST", "/v1/schedules/s", typeJSON, `{"paused":true}`, 200)
	c.call("GET", "/v1/schedules", "", "", 200)
	c.call("DELETE", "/v1/schedules/s", "", "", 200)
	c.call("DELETE", "/v1/schedules/s", "", "", 404)
	c.call("GET", "/v1/runs/r1/explain", "", "", 200)
	c.call("GET", "/v1/runs/nowhere/explain", "", "", 404)
	c.call("GET", "/v1/queues/tasks/tasks/~1", "", "", 200)
	c.call("GET", "/v1/queues/next/tasks/own%2Fid", "", "", 200)
	c.call("GET", "/v1/runs/r1/tasks/0", "", "", 200)
	c.call("GET", "/v1/runs/r1/tasks/x", "", "", 400)
	c.call("GET", "/v1/runs/nowhere/tasks/0", "", "", 404)
	c.call("GET", "/v1/events?queue=tasks&run=r1&after=1&wait=1ms", "", "", 200)
	c.call("GET", "/v1/events?after=x", "", "", 400)
	c.call("POST", "/v1/reload", "", "", 200)
	c.call("POST", "/v1/reload?x=1", "", "", 400)
	c.call("GET", "/metrics", "", "", 200)
	c.call("POST", "/v1/backup", "", "", 200)
	c.call("POST", "/v1/backup?form=archive", "", "", 200)
	c.call("POST", "/v1/backup?form=x", "", "", 400)
	c.call("POST", "/v1/backup?x=1", "", "", 400)
	c.call("GET", "/livez", "", "", 200)
	c.call("GET", "/readyz", "", "", 200)
	c.call("GET", "/openapi.yaml", "", "", 200)
	c.call("GET", "/schema/task.json", "", "", 200)
	c.call("GET", "/schema/none.json", "", "", 404)
	c.call("GET", "/schema/task.json?x=1", "", "", 400)
	c.call("GET", "/openapi.yaml?x=1", "", "", 400)
	c.call("POST", "/v1/runs/later", typeJSON, `{"after":"nowhere"}`, 404)
	c.call("POST", "/v1/runs/later", typeJSON, `{"retry_of":"nowhere"}`, 404)
	c.call("PATCH", "/v1/queues/small", typeJSON, one, 200)
	c.call("POST", "/v1/queues/small/tasks", typeJSON, `{"body":"a"}`, 200)
	c.call("POST", "/v1/runs/later", typeJSON, `{"on_end":{"queue":"small"}}`, 429)

	for path, methods := range c.paths {
		for method, op := range methods {
			_, locked := op.Responses["401"]
			if _, ok := op.Responses["403"]; locked && !ok {
				t.Errorf("%s %s: 401 is documented, and not that a token may lack the scope, 403", method, path)
			}
			for status, r := range op.Responses {
				if status[0] != '2' {
					continue
				}
				media := slices.Collect(maps.Keys(r.Content))
				if len(media) == 0 {
					media = []string{""}
				}
				for _, m := range media {
					if !c.driven[op.ID+" "+status+" "+m] {
						t.Errorf("%s %s: the answer %s %s was documented and never seen", method, path, status, m)
					}
				}
			}
		}
	}
}

// TestQuotaIsDocumented: whatever would make one queue more than there may be is refused as documented.
func TestQuotaIsDocumented(t *testing.T) {
	c := newContract(t, disk.Options{MaxQueues: 1})
	c.call("POST", "/v1/queues/one/tasks", typeJSON, `{"body":"a"}`, 200)
	c.call("POST", "/v1/queues/two/tasks", typeJSON, `{"body":"a"}`, 429)
	c.call("POST", "/v1/queues/two/reserve", "", "", 429)
	c.call("PATCH", "/v1/queues/two", typeJSON, `{"paused":true}`, 429)
	c.call("POST", "/v1/runs/r", typeJSON, `{"on_end":{"queue":"two"}}`, 429)
	c.call("POST", "/v1/ack", typeJSON, `{"token":"`+c.lease("one")+`","put":[{"queue":"two","body":"a"}]}`, 429)
}

// TestRoutesAreDocumented: what is served is documented and the other way round.
func TestRoutesAreDocumented(t *testing.T) {
	c := newContract(t, disk.Options{})
	var documented []string
	for path, methods := range c.paths {
		for method := range methods {
			documented = append(documented, strings.ToUpper(method)+" "+path)
		}
	}
	served := slices.DeleteFunc(slices.Clone(c.server.patterns), func(p string) bool { return p == "/" })
	slices.Sort(documented)
	slices.Sort(served)
	if !slices.Equal(documented, served) {
		t.Errorf("documented:\n %s\nserved:\n %s", strings.Join(documented, "\n "), strings.Join(served, "\n "))
	}
}

var known = regexp.MustCompile(`there are: ([a-z, ]+)`)

// TestQueryParametersAreDocumented asks every operation which parameters it knows.
func TestQueryParametersAreDocumented(t *testing.T) {
	c := newContract(t, disk.Options{})
	for path, methods := range c.paths {
		for method, op := range methods {
			var documented []string
			for _, p := range op.Parameters {
				if p.Ref == "#/components/parameters/answer" {
					p = parameter{Name: "answer", In: "query"}
				}
				if p.In == "query" {
					documented = append(documented, p.Name)
				}
			}
			var served []string
			for _, media := range []string{typeJSON, "text/plain"} {
				target := strings.NewReplacer("{queue}", "q", "{run}", "r", "{name}", "task.json", "{id}", "i", "{n}", "1").Replace(path) + "?no_such=1"
				req := httptest.NewRequest(strings.ToUpper(method), target, strings.NewReader(`{"body":"x"}`))
				req.Host = "localhost"
				req.Header.Set("Content-Type", media)
				rec := httptest.NewRecorder()
				c.server.ServeHTTP(rec, req)
				if rec.Code != http.StatusBadRequest && path != "/livez" && path != "/readyz" {
					t.Errorf("%s %s?no_such=1 = %d, want 400: %s", method, path, rec.Code, rec.Body)
				}
				if m := known.FindStringSubmatch(rec.Body.String()); m != nil {
					served = append(served, strings.Split(m[1], ", ")...)
				}
			}
			slices.Sort(documented)
			slices.Sort(served)
			if served = slices.Compact(served); !slices.Equal(documented, served) {
				t.Errorf("%s %s: documented parameters %v, served %v", method, path, documented, served)
			}
		}
	}
}
