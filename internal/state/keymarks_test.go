package state

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// TestKeyMarksMemory: a key that is remembered takes at most 64 bytes beside its name, whatever
// the string is that its name was cut from.
func TestKeyMarksMemory(t *testing.T) {
	const keys, name = 50_000, 16
	held := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	var marks keyMarks
	run := strings.Repeat("r", 200)
	before := held()
	for i := range keys {
		class := fmt.Sprintf("%s%0*d", run, name, i)
		marks.put(keyMark{name: class[len(run):], rate: 1})
	}
	if each := float64(held()-before) / keys; each > 64+name {
		t.Errorf("%.1f bytes a key, its name of %d included; at most %d are allowed", each, name, 64+name)
	}
	runtime.KeepAlive(&marks)
}
