package result_test

import (
	"fmt"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/result"
)

// A worker in Go says what it found out, and has the record printed.
func ExampleAppend() {
	r := result.Record{Took: 12 * time.Millisecond, Code: 404, Class: result.ClassStatus, Attempt: 1}
	fmt.Printf("%s\n", result.Append(nil, []byte("http://example.org/?q=7"), glassq.TypeText, &r))
	// Output: {"i":"http://example.org/?q=7","o":{"ok":0,"rt":0.012,"code":404,"err":"status","a":1}}
}

// A program in another language need only say what is its own; what surrounds it adds the rest.
func ExampleComplete() {
	r := result.Record{Took: 250 * time.Millisecond, Attempt: 2}
	line, err := result.Complete(nil, []byte(`{"o":{"ok":1,"pages":3}}`), []byte("book.pdf"), glassq.TypeText, &r)
	fmt.Printf("%s %v\n", line, err)
	// Output: {"i":"book.pdf","o":{"ok":1,"pages":3,"rt":0.25,"a":2}} <nil>
}

// A task is failed when its record says so, and only then.
func ExampleOutcomeOf() {
	for _, record := range []string{`{"o":{"ok":1}}`, `{"o":{"ok":0}}`, `{"o":{"pages":3}}`, `done`} {
		fmt.Println(result.OutcomeOf([]byte(record), glassq.TypeJSON) == glassq.OK)
	}
	// Output:
	// true
	// false
	// true
	// true
}

// What was in a record is read back from a lease of a results queue.
func ExampleParse() {
	var r result.Record
	whole := result.Parse([]byte(`{"i":"book.pdf","o":{"ok":0,"rt":1.5,"err":"timeout"}}`), &r)
	fmt.Println(whole, r.OK, r.Took, r.Class)
	// Output: true false 1.5s timeout
}
