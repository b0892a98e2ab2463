package dispatch

import (
	"io"
	"strings"
	"testing"

	"github.com/glassq/glassq"
)

func TestKeys(t *testing.T) {
	tests := []struct {
		name, key, format, in string
		want                  []string
	}{
		{"host of a URL", "host", "text", "http://a.example/1\nhttp://b.example:8080/2\nno url\n", []string{"a.example", "b.example:8080", ""}},
		{"host of a request", "host", "ndjson", `{"url":"http://a.example/1","method":"POST"}` + "\n", []string{"a.example"}},
		{"a key of its own wins", "host", "ndjson", `{"body":"http://a.example/1","key":"mine"}` + "\n", []string{"mine"}},
		{"column, as it is", "t-{col:tenant}", "csv", "url,tenant\nhttp://x/1,a b\nhttp://x/2,c\n", []string{"t-a b", "t-c"}},
		{"line", "{line}", "text", "x\ny\n", []string{"x", "y"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			src, err := NewLines(strings.NewReader(tt.in), LineOptions{Format: Format(tt.format)})
			if err != nil {
				t.Fatal(err)
			}
			k, err := ParseKey(tt.key)
			if err == nil {
				err = SetKey(src, k)
			}
			if err != nil {
				t.Fatal(err)
			}
			tasks := make([]glassq.Task, 10)
			n, err := src.Next(tasks)
			if err != nil && err != io.EOF || n != len(tt.want) {
				t.Fatalf("Next = %d, %v; want %d tasks", n, err, len(tt.want))
			}
			for i, want := range tt.want {
				if tasks[i].Key != want {
					t.Errorf("key %d = %q; want %q", i, tasks[i].Key, want)
				}
			}
		})
	}
}

func TestKeysOfNumbers(t *testing.T) {
	for _, tt := range []struct {
		name, key, url, want string
		one                  bool
	}{
		{"one host", "host", "http://a.example/{0}", "a.example", true},
		{"hosts by number", "host", "http://h{0}.example/", "", false},
		{"one key", "tenant", "http://a.example/{0}", "tenant", true},
		{"keys by number", "k{0}", "http://a.example/", "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tmpl, err := ParseTemplate(tt.url)
			if err != nil {
				t.Fatal(err)
			}
			src, err := NewCounter(tmpl, nil, 5, 100)
			if err != nil {
				t.Fatal(err)
			}
			k, err := ParseKey(tt.key)
			if err == nil {
				err = SetKey(src, k)
			}
			if err != nil {
				t.Fatal(err)
			}
			if key, ok := src.(*counter).oneKey(); key != tt.want || ok != tt.one {
				t.Errorf("oneKey = %q, %t; want %q, %t", key, ok, tt.want, tt.one)
			}
		})
	}
	src, _ := NewCounter(mustTemplate(t, "http://x/{0}"), nil, 0, 5)
	for _, bad := range []string{"{col:x}", "{line}"} {
		k, err := ParseKey(bad)
		if err == nil {
			err = SetKey(src, k)
		}
		if err == nil {
			t.Errorf("key %s of numbers is taken", bad)
		}
	}
}
