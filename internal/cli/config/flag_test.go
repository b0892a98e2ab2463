package config

import "testing"

func TestEditDistance(t *testing.T) {
	for pair, want := range map[[2]string]int{{"dta", "data"}: 1, {"", "ab"}: 2, {"sever", "server"}: 1, {"abc", "abc"}: 0} {
		if got := editDistance(pair[0], pair[1]); got != want {
			t.Errorf("editDistance(%q, %q) = %d, want %d", pair[0], pair[1], got, want)
		}
	}
}
