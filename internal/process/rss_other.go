//go:build unix && !linux

package process

import "runtime"

// maxrssUnit is what getrusage counts in: kibibytes, but bytes on Darwin.
var maxrssUnit = func() int64 {
	if runtime.GOOS == "darwin" || runtime.GOOS == "ios" {
		return 1
	}
	return 1024
}()
