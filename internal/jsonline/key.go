package jsonline

import (
	"bytes"
	"net/url"
	"strings"

	"github.com/glassq/glassq"
)

// A KeySource says which key a body has that came without one: "host" that of the URL that it is or
// has as its member url, and "{NAME}" what its member NAME says, a string or a number.
type KeySource string

// ParseKeySource reads one. The error has code bad_request.
func ParseKeySource(s string) (KeySource, error) {
	if name, ok := strings.CutPrefix(s, "{"); s != "host" && (!ok || len(name) < 2 || strings.IndexByte(name, '}') != len(name)-1) {
		return "", glassq.Errorf(glassq.CodeBadRequest, "%.40q is neither host nor the name of a member like {tenant}", s)
	}
	return KeySource(s), nil
}

// Of is the key of a body; "" for none.
func (k KeySource) Of(body []byte) string {
	if k == "host" {
		return Host(body)
	}
	text, _ := member(body, strings.Trim(string(k), "{}"))
	return text
}

// Host is the host, with the port if one is named, of the URL that a body is, or has as its member
// url; "" for none.
func Host(body []byte) string {
	text, object := member(body, "url")
	if !object {
		text = string(body)
	}
	u, err := url.Parse(text)
	if err != nil {
		return ""
	}
	return u.Host
}

// member is what a member of a body says that is a JSON object, a string or a number; "" for none.
func member(body []byte, name string) (text string, object bool) {
	b := bytes.TrimLeft(body, " \t\r\n")
	if len(b) == 0 || b[0] != '{' {
		return "", false
	}
	c := ReadText(b)
	for c.Open('{', "a task"); c.More(); {
		this := string(c.Key()) == name
		if v := c.Value(); !this || len(v) == 0 {
			continue
		} else if v[0] == '"' {
			text = string(c.Text(name))
		} else if v[0] == '-' || v[0] >= '0' && v[0] <= '9' {
			text = string(v)
		}
	}
	if c.Err() != nil {
		return "", true
	}
	return text, true
}
