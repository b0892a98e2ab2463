package client

import (
	"reflect"
	"slices"
	"testing"

	"github.com/glassq/glassq/internal/rights"
)

// TestMethodsHaveRows: each method of a client is in the table of rights, and each name there is
// one.
func TestMethodsHaveRows(t *testing.T) {
	var names []string
	for m := range reflect.TypeFor[*Client]().Methods() {
		names = append(names, m.Name)
	}
	var rows []string
	for i := range rights.Rules {
		rows = append(rows, rights.Rules[i].Client...)
	}
	slices.Sort(names)
	slices.Sort(rows)
	if !slices.Equal(names, rows) {
		t.Errorf("methods: %q; rows of the table: %q", names, rows)
	}
}
