package memcache

import (
	"bytes"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/glassq/glassq"
)

// TestResultSchema: a result that comes with a lease number, which tells no queue, is held to the
// schema of the lease's queue, and the others of its burst are answered for themselves.
func TestResultSchema(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, setup{})
		defer r.stop()
		want := glassq.Schema(`{"required":["code"]}`)
		if _, err := r.store.Configure(t.Context(), "q", glassq.SettingsChange{ResultSchema: &want}); err != nil {
			t.Fatal(err)
		}
		nc := r.ln.dial()
		defer nc.Close()
		nc.SetDeadline(time.Now().Add(time.Hour))
		for _, tt := range []struct{ name, send, answer string }{
			{"leases", "set q 0 0 1\r\na\r\nset q 0 0 1\r\nb\r\nset free 0 0 1\r\nc\r\ngets q/open q/open free/open\r\n",
				"STORED\r\nSTORED\r\nSTORED\r\nVALUE q/open 0 1 1\r\na\r\nVALUE q/open 0 1 2\r\nb\r\nVALUE free/open 0 1 3\r\nc\r\nEND\r\n"},
			{"results", "cas results 0 0 2 1\r\n{}\r\ncas results 0 0 2 3\r\n{}\r\ncas results 0 0 10 2\r\n{\"code\":2}\r\n",
				"SERVER_ERROR the result does not agree with the schema of queue q: at the top: missing property 'code'\r\nSTORED\r\nSTORED\r\n"},
			{"they are there, the lease too", "get results results results\r\ncas results 0 0 10 1\r\n{\"code\":1}\r\n",
				"VALUE results 0 2\r\n{}\r\nVALUE results 0 10\r\n{\"code\":2}\r\nEND\r\nSTORED\r\n"},
		} {
			go io.WriteString(nc, tt.send)
			got := make([]byte, len(tt.answer))
			if n, err := io.ReadFull(nc, got); !bytes.Equal(got, []byte(tt.answer)) {
				t.Fatalf("%s: got %q, %v; want %q", tt.name, got[:n], err, tt.answer)
			}
		}
	})
}
