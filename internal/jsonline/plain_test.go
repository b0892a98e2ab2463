package jsonline

import (
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

// What isPlain takes, the library takes too. The lines of a usual run are plain, or the quick way
// would be no way at all.
func TestPlain(t *testing.T) {
	plain := []string{
		`{"body":"http://localhost:8888/?q=1"}`,
		` { "id" : "a" , "priority" : 9, "delay":0.25 , "own":[ 1 , -2.50 , { } , [ ] , true,false,null ] } `,
		`{"i":"u","o":{"ok":1,"rt":0.001,"status":200}}`, `0`, `-1`, `"ü"`, "\"\x7f\xff\"", `[]`, `{}`, "[1\r\n,\t2]",
	}
	for _, text := range plain {
		if !isPlain([]byte(text)) {
			t.Errorf("%q is not plain", text)
		}
		for cut := range len(text) {
			checkPlain(t, []byte(text[:cut]))
		}
	}
	for _, text := range plainCorpus {
		checkPlain(t, []byte(text))
	}
}

var plainCorpus = []string{
	"", " ", "01", "-", "-01", "1.", ".5", "1.e1", "1e5", "1 2", "1,", "[1,]", "[,1]", "[1 2]", "{]", "[}", `{"a"}`,
	`{"a":}`, `{"a":1,}`, `{,"a":1}`, `{"a" 1}`, `{1:2}`, `{"a":1 "b":2}`, "tru", "truex", "nullnull", "\"a\nb\"",
	`"a\"b"`, `"`, "\xef\xbb\xbf1", "[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]", `{"a":1}x`, "\v1", "1\x00",
}

func FuzzPlain(f *testing.F) {
	for _, text := range plainCorpus {
		f.Add([]byte(text))
	}
	f.Add([]byte(`{"id":"a","o":{"ok":1,"rt":-0.25,"x":[true,false,null,{}]}}`))
	f.Fuzz(checkPlain)
}

func checkPlain(t *testing.T, b []byte) {
	if isPlain(b) && !jsontext.Value(b).IsValid(lenient) {
		t.Errorf("%q is no JSON, but plain", b)
	}
}
