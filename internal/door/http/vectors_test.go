package httpdoor

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"reflect"
	"testing"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/spec"
)

// vector reads the cases of a name into v.
func vector(t *testing.T, name string, v any) {
	t.Helper()
	text, ok := spec.Vector(name)
	if !ok {
		t.Fatalf("no vector %s", name)
	}
	if err := json.Unmarshal(text, v); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// exact reads JSON with numbers as they are written.
func exact(t *testing.T, text []byte) (v any) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return v
}

func TestEnvelopeVectors(t *testing.T) {
	var v struct {
		Cases []struct {
			Name       string
			Put, Lease json.RawMessage
		}
		Refused []struct {
			Name string
			Put  json.RawMessage
			Code string
		}
	}
	vector(t, "envelopes", &v)
	s := New(openStore(t), Options{})
	for _, c := range v.Cases {
		t.Run(c.Name, func(t *testing.T) {
			if status, answer := ask(s, "POST", "/v1/queues/tasks/tasks", typeJSON, string(c.Put)); status != 200 {
				t.Fatalf("put %s = %d %s", c.Put, status, answer)
			}
			_, answer := ask(s, "POST", "/v1/queues/tasks/reserve", "", "")
			got := exact(t, []byte(answer)).(map[string]any)
			for k, want := range exact(t, c.Lease).(map[string]any) {
				value, there := got[k]
				absent := want == nil && k != "body"
				if there == absent || !reflect.DeepEqual(value, want) {
					t.Errorf("lease of %s has %s = %v (there: %v), want %v", c.Put, k, value, there, want)
				}
			}
			ask(s, "POST", "/v1/ack", typeJSON, fmt.Sprintf(`{"token":%q}`, got["token"]))
		})
	}
	for _, c := range v.Refused {
		t.Run(c.Name, func(t *testing.T) {
			_, answer := ask(s, "POST", "/v1/queues/tasks/tasks", typeJSON, string(c.Put))
			var e struct{ Error struct{ Code string } }
			if err := json.Unmarshal([]byte(answer), &e); err != nil || e.Error.Code != c.Code {
				t.Errorf("put %s = %s, want code %s", c.Put, answer, c.Code)
			}
		})
	}
}

func TestOutcomeVectors(t *testing.T) {
	var v struct {
		Cases []struct {
			Name    string
			Result  json.RawMessage
			B64     string
			Outcome string
		}
	}
	vector(t, "outcomes", &v)
	s := New(openStore(t), Options{})
	for i, c := range v.Cases {
		t.Run(c.Name, func(t *testing.T) {
			run := fmt.Sprint("v", i)
			ask(s, "POST", "/v1/queues/tasks/tasks", typeJSON, fmt.Sprintf(`{"body":"x","run":%q,"n":0}`, run))
			_, lease := ask(s, "POST", "/v1/queues/tasks/reserve", "", "")
			var l struct{ Token string }
			if err := json.Unmarshal([]byte(lease), &l); err != nil {
				t.Fatalf("%s: %v", lease, err)
			}
			result := fmt.Sprintf(`"result":%s`, c.Result)
			if c.B64 != "" {
				if _, err := base64.StdEncoding.DecodeString(c.B64); err != nil {
					t.Fatal(err)
				}
				result = fmt.Sprintf(`"b64":%q`, c.B64)
			}
			if status, answer := ask(s, "POST", "/v1/ack", typeJSON, fmt.Sprintf(`{"token":%q,%s}`, l.Token, result)); status != 200 {
				t.Fatalf("ack with %s = %d %s", result, status, answer)
			}
			r, err := s.broker.Run(t.Context(), run)
			want := glassq.Books{Put: 1}
			if c.Outcome == "ok" {
				want.OK = 1
			} else {
				want.Failed = 1
			}
			if err != nil || r.Books != want {
				t.Errorf("books after %s = %+v, %v; want %s", result, r.Books, err, c.Outcome)
			}
		})
	}
}

func TestNameAndTokenVectors(t *testing.T) {
	var names struct{ Valid, Invalid []string }
	vector(t, "names", &names)
	for _, n := range names.Valid {
		if err := glassq.CheckName(n); err != nil {
			t.Errorf("CheckName(%q) = %v, want nil", n, err)
		}
	}
	for _, n := range names.Invalid {
		if err := glassq.CheckName(n); err == nil {
			t.Errorf("CheckName(%q) = nil, want bad_name", n)
		}
	}
	var tokens struct {
		Valid []struct {
			Token, Queue string
			Number       uint64
		}
		Invalid []string
	}
	vector(t, "tokens", &tokens)
	for _, c := range tokens.Valid {
		if got, err := glassq.ParseToken(c.Token); err != nil || got != (glassq.Token{Queue: c.Queue, Number: c.Number}) {
			t.Errorf("ParseToken(%q) = %v, %v", c.Token, got, err)
		}
	}
	for _, text := range tokens.Invalid {
		if got, err := glassq.ParseToken(text); err == nil {
			t.Errorf("ParseToken(%q) = %v, want an error", text, got)
		}
	}
}
