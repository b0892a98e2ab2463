//go:build race

package disk

func init() { underRace = true }
