package plain

import "testing"

func TestPlural(t *testing.T) {
	for _, tt := range []struct {
		n    uint64
		want string
	}{
		{0, "0 tasks"}, {1, "1 task"}, {2, "2 tasks"}, {999, "999 tasks"}, {1000, "1,000 tasks"},
		{12_345_678, "12,345,678 tasks"}, {1<<64 - 1, "18,446,744,073,709,551,615 tasks"},
	} {
		if got := Plural(tt.n, "task", "tasks"); got != tt.want {
			t.Errorf("Plural(%d) = %q, want %q", tt.n, got, tt.want)
		}
	}
}
