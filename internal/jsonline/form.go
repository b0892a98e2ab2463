package jsonline

import (
	"bytes"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/glassq/glassq"
)

// A Form is how every door, and every result record, shows a body.
type Form uint8

const (
	Octets Form = iota // bytes: base64
	Text               // a string
	JSON               // the value that it is
)

// FormOf decides the form of a body by its content type. No other place does.
//
//   - A body of a JSON type (application/json or +json; case, parameters and spaces do not matter) is JSON
//     if it is, else text.
//   - A body of a text type is text.
//   - A body without a type is JSON if it is an object or array, else text: the text 123 stays text.
//   - All of these are octets if they are not UTF-8; so is every body of another type.
func FormOf(body []byte, contentType string) Form {
	untyped := contentType == ""
	json := untyped && opens(body) || IsJSON(contentType)
	switch {
	case json && Valid(body):
		return JSON
	case (untyped || json || isText(contentType)) && utf8.Valid(body):
		return Text
	}
	return Octets
}

// IsJSON reports whether a content type says JSON.
func IsJSON(contentType string) bool {
	if contentType == glassq.TypeJSON {
		return true
	}
	media := mediaOf(contentType)
	return strings.EqualFold(media, glassq.TypeJSON) || len(media) >= 5 && strings.EqualFold(media[len(media)-5:], "+json")
}

func isText(contentType string) bool {
	if contentType == glassq.TypeText {
		return true
	}
	media := mediaOf(contentType)
	return len(media) >= 5 && strings.EqualFold(media[:5], "text/")
}

// mediaOf is a content type without its parameters.
func mediaOf(contentType string) string {
	media, _, _ := strings.Cut(contentType, ";")
	return strings.Trim(media, " \t")
}

// opens reports whether b begins like an object or array.
func opens(b []byte) bool {
	b = bytes.TrimLeft(b, " \t\r\n")
	return len(b) > 0 && (b[0] == '{' || b[0] == '[')
}

// HoldsRecord reports whether a body may be a result record: an object of a type that does not
// exclude it. An image is no record, whatever its bytes look like.
func HoldsRecord(body []byte, contentType string) bool {
	return opens(body) && (contentType == "" || contentType == glassq.TypeOctets || IsJSON(contentType) ||
		isText(contentType))
}

// maxDepth is how deep a JSON body may be nested. The decoder takes 10,000, and what the doors and
// records put around a body must find room beside it.
const maxDepth = 9_900

// Valid reports whether b is one JSON value in UTF-8, with or without space around it, nested at
// most 9,900 deep. Names may come twice, numbers may be of any size, and a string may escape half a
// surrogate pair: a body is passed on as it was written.
func Valid(b []byte) bool {
	if !utf8.Valid(b) {
		return false
	}
	if bytes.Count(b, []byte("["))+bytes.Count(b, []byte("{")) > maxDepth { // else it cannot be too deep
		pad := 10_000 - maxDepth
		b = slices.Concat(bytes.Repeat([]byte("["), pad), b, bytes.Repeat([]byte("]"), pad))
	}
	return isPlain(b) || jsontext.Value(b).IsValid(lenient)
}
