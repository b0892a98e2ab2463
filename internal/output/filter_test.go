package output

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/glassq/glassq"
)

func TestFilter(t *testing.T) {
	results := map[string]string{
		"ok":      `{"i":"http://a/1","o":{"ok":1,"code":200,"w":"w1"}}`,
		"status":  `{"i":"http://a/2","o":{"ok":0,"code":503,"err":"status"}}`,
		"timeout": `{"i":"http://b/3","o":{"ok":0,"err":"timeout","team":"x"}}`,
	}
	tests := []struct{ text, want string }{
		{"failed", "status timeout"},
		{"ok", "ok"},
		{"failed,err=timeout", "timeout"},
		{"err=status", "status"},
		{"err=status 503", "status"},
		{"code=5xx", "status"},
		{"code=200", "ok"},
		{"host=a, failed", "status"},
		{"worker=w1", "ok"},
		{"label:team=x", "timeout"},
		{"ok,failed", ""},
	}
	for _, tt := range tests {
		f, err := ParseFilter(tt.text)
		if err != nil {
			t.Errorf("ParseFilter(%q) = %v", tt.text, err)
			continue
		}
		var got []string
		for _, name := range []string{"ok", "status", "timeout"} {
			if pass, _ := f.passes(recordOf(leaseOf(1, results[name])), nil); pass {
				got = append(got, name)
			}
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%q lets %q pass, want %q", tt.text, got, tt.want)
		}
	}
	for _, text := range []string{"", "bad", "err=", "nokey=x", "failed,"} {
		if _, err := ParseFilter(text); !errors.Is(err, glassq.ErrBadRequest) {
			t.Errorf("ParseFilter(%q) = %v, want bad_request", text, err)
		}
	}
}

// A failed task is listed as it was put; one whose result does not say what it was is counted.
func TestFailedList(t *testing.T) {
	tests := []struct{ name, result, want string }{
		{"text", `{"i":"http://a/\u00e9","o":{"ok":0,"err":"timeout","msg":"slow \"x\""}}`,
			`{"body":"http://a/\u00e9","failed":{"id":"r1/7","err":"timeout","msg":"slow \"x\""}}`},
		{"a request", `{"i":{"url":"http://a/"},"o":{"ok":0,"code":503,"err":"status"}}`,
			`{"body":{"url":"http://a/"},"failed":{"id":"r1/7","err":"status 503","code":503}}`},
		{"octets", `{"b64":"/wA=","o":{"ok":0}}`, `{"b64":"/wA=","failed":{"id":"r1/7","err":"unknown"}}`},
		{"no input", `{"o":{"ok":0}}`, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var b bytes.Buffer
			l := newFailedList(&b)
			l.add(recordOf(leaseOf(7, tt.result)))
			if err := l.close(); err != nil || strings.TrimSuffix(b.String(), "\n") != tt.want ||
				(l.unknown == 1) != (tt.want == "") {
				t.Errorf("list = %s, %d unknown, %v; want %s", b.String(), l.unknown, err, tt.want)
			}
		})
	}
}
