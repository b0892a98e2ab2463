//go:build !race

package result

import (
	"testing"
	"time"

	"github.com/glassq/glassq"
)

// TestResultAllocs needs a sync.Pool that keeps what it is given; the race detector's drops some of
// it.
func TestResultAllocs(t *testing.T) {
	r := Record{OK: true, Took: time.Millisecond, Code: 200, Bytes: 9, Began: time.UnixMilli(1), Worker: "w", Attempt: 1}
	in := []byte(`{"url":"http://x/"}`)
	buf := make([]byte, 0, 1024)
	n := testing.AllocsPerRun(100, func() {
		out := Append(buf, in, glassq.TypeJSON, &r)
		var back Record
		Parse(out, &back)
		OutcomeOf(out, glassq.TypeJSON)
	})
	if n != 0 {
		t.Errorf("a result written and read allocates %v times, want 0", n)
	}
}
