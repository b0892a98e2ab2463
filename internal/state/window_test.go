package state

import (
	"testing"

	"github.com/glassq/glassq"
)

// TestIDWindowForgetsTheOldPut: an id that is put again after its window has passed is remembered from then
// on, also where nobody asked for it in between, as in a replay.
func TestIDWindowForgetsTheOldPut(t *testing.T) {
	var w idWindow
	id := hashID([]byte("id1"))
	later := 2 * glassq.DedupWindow.Milliseconds()
	w.add(id, 0)
	w.add(id, later)
	if !w.has(id, later) {
		t.Error("the id put just now is not remembered")
	}
	if w.has(id, 2*later) {
		t.Error("the id is remembered beyond its window")
	}
}
