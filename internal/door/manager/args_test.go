package manager

import (
	"testing"

	"github.com/glassq/glassq/internal/door/manager/pickle"
)

// TestTooManyArguments: the exception says how many a method takes, and how many came.
func TestTooManyArguments(t *testing.T) {
	_, exc := bind(request{args: make([]*pickle.Value, 3)}, "get", "block", "timeout")
	if want := "get() takes at most 2 arguments (3 given)"; exc == nil || exc.name != "TypeError" || exc.text != want {
		t.Errorf("bind = %+v; want TypeError: %s", exc, want)
	}
}
