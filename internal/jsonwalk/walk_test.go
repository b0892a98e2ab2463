package jsonwalk

import (
	"encoding/json"
	"strings"
	"testing"
)

// FuzzValue holds values and walks to the grammar of encoding/json.
func FuzzValue(f *testing.F) {
	for _, s := range []string{`{"i":"x","o":{"ok":1,"rt":0.25}}`, `{"a":[1,-0.5e+7,{"\u00e9":null}],"b":"01234567\"89\\"} `, `{"a":1,}`, `[01]`, "\"\x1f1234567\"", `"12345678`, "-", `"\u12g4"`, `{"long name \n":"é\/"}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		end := Value(in, Space(in, 0), 0)
		got := end >= 0 && Space(in, end) == len(in)
		if want := json.Valid(in); got != want {
			t.Fatalf("Value(%q) takes it: %v, want %v", in, got, want)
		}
		if w := Walk(in, Space(in, 0), 1); w.Pos() >= 0 {
			for w.Next() {
				w.Skip()
			}
			if w.Whole() != json.Valid(in) {
				t.Fatalf("Walk(%q) takes it: %v", in, w.Whole())
			}
		}
	})
}

// TestWalk: names and values are cut out raw, and a walk inside a walk goes on behind its object.
func TestWalk(t *testing.T) {
	in := []byte(` {"a" : [1, {"b":2}], "o":{"x":"\u0041","y":{}} ,"\u006f":null} `)
	var got []string
	w := Walk(in, Space(in, 0), 1)
	for w.Next() {
		from, to := w.Name()
		name := string(in[from:to])
		if name != string(w.Key()) {
			t.Errorf("Name says %q, Key %q", name, w.Key())
		}
		if !w.At('{') {
			got = append(got, name+"="+string(w.Skip()))
			continue
		}
		o := w.Enter()
		for o.Next() {
			got = append(got, name+"."+string(o.Key())+"="+string(o.Skip()))
		}
		w.Leave(&o)
	}
	const want = `a=[1, {"b":2}] o.x="\u0041" o.y={} \u006f=null`
	if s := strings.Join(got, " "); s != want || !w.Whole() {
		t.Errorf("walked %s, whole %v; want %s", s, w.Whole(), want)
	}
}

// TestDepth: nesting is bounded where encoding/json bounds it.
func TestDepth(t *testing.T) {
	for _, n := range []int{MaxDepth, MaxDepth + 1} {
		in := []byte(strings.Repeat("[", n) + strings.Repeat("]", n))
		if got, want := Value(in, 0, 0) == len(in), json.Valid(in); got != want {
			t.Errorf("%d arrays: %v, encoding/json says %v", n, got, want)
		}
	}
}
