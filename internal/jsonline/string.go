package jsonline

import (
	"bytes"
	"encoding/base64"

	"github.com/go-json-experiment/json/jsontext"
)

// AppendString appends s as a JSON string; bytes that are not UTF-8 become U+FFFD.
func AppendString[S ~string | ~[]byte](dst []byte, s S) []byte {
	dst, _ = jsontext.AppendQuote(dst, s) // an error says that there was a U+FFFD to write
	return dst
}

// AppendBase64 appends b as a JSON string of standard base64 with padding.
func AppendBase64(dst, b []byte) []byte {
	dst = base64.StdEncoding.AppendEncode(append(dst, '"'), b)
	return append(dst, '"')
}

// AppendKey appends the name of a member, which needs no escapes, behind a comma unless it is the
// first one of its object.
func AppendKey(dst []byte, name string) []byte {
	if dst[len(dst)-1] != '{' {
		dst = append(dst, ',')
	}
	dst = append(append(dst, '"'), name...)
	return append(dst, '"', ':')
}

// AppendLine appends a JSON value on one line: as it was written, and without the space between its
// tokens if there is a line break among it.
func AppendLine(dst, value []byte) []byte {
	value = bytes.Trim(value, " \t\r\n")
	if bytes.IndexByte(value, '\n') < 0 && bytes.IndexByte(value, '\r') < 0 {
		return append(dst, value...)
	}
	out, err := jsontext.AppendFormat(dst, value, lenient, jsontext.PreserveRawStrings(true))
	if err != nil {
		panic("jsonline: a value that was checked is no JSON: " + err.Error())
	}
	return out
}

// Plain is what a JSON string says, and any other JSON value as it is written. Halves of surrogate
// pairs are U+FFFD. It aliases v if nothing is escaped.
func Plain(v []byte) []byte {
	if len(v) < 2 || v[0] != '"' {
		return v
	}
	if bytes.IndexByte(v, '\\') < 0 {
		return v[1 : len(v)-1]
	}
	out, _ := jsontext.AppendUnquote(make([]byte, 0, len(v)), v)
	return out
}
