//go:build !linux

package patience

func yield() {}
