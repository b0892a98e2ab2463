package memcache

import (
	"bytes"
	"io"
	"testing"
	"testing/synctest"
	"time"
)

// FuzzStream sends any bytes, whole and in single bytes: the server must survive, give back all it
// took, and answer the same both ways.
func FuzzStream(f *testing.F) {
	for _, tr := range readTranscripts(f) {
		var all []byte
		for _, s := range tr.steps {
			if s.what == "C" && s.client == 1 {
				all = append(all, s.data...)
			}
		}
		f.Add(all)
	}
	f.Add([]byte("set q/batch 0 0 5\r\na\nb\nc\r\nget q q q q/t=5\r\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		// What stats tells depends on time and processor.
		if len(in) > 4096 || bytes.Contains(in, []byte("stats")) {
			return
		}
		var answers [2][]byte
		for i, size := range []int{len(in) + 1, 1} {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, setup{MaxBody: 1000})
				defer r.stop()
				nc := r.ln.dial()
				got := make(chan []byte, 1)
				go func() {
					b, _ := io.ReadAll(nc)
					got <- b
				}()
				for rest := in; len(rest) > 0; {
					n := min(size, len(rest))
					if _, err := nc.Write(rest[:n]); err != nil {
						break
					}
					rest = rest[n:]
				}
				// A client that goes away within a wait is noticed only while there is room for
				// what it sends. So it stays until no wait is left.
				time.Sleep(time.Hour)
				nc.Close()
				answers[i] = <-got
			})
		}
		if !bytes.Equal(answers[0], answers[1]) {
			t.Errorf("%q whole = %q, byte by byte = %q", in, answers[0], answers[1])
		}
	})
}

// FuzzKey: a key that is accepted names a queue that begins it, and has no option twice.
func FuzzKey(f *testing.F) {
	for _, k := range []string{"q", "q/open/t=5", "q/5/nack", "q/id=a/prio=9", "q/", "/", "q/ack=7"} {
		f.Add([]byte(k))
	}
	f.Fuzz(func(t *testing.T, key []byte) {
		var got target
		if parseKey(key, ^option(0), &got) == "" && !bytes.HasPrefix(key, got.queue) {
			t.Errorf("parseKey(%q): queue %q", key, got.queue)
		}
	})
}
