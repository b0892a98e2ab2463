package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/glassq/glassq/internal/disk"
)

// A byteSize is a flag like 16MiB or 1000.
type byteSize int64

var byteUnits = []struct {
	name string
	size int64
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}}

func (b *byteSize) String() string {
	for _, u := range byteUnits {
		if n := int64(*b); n != 0 && n%u.size == 0 && u.size > 1 {
			return strconv.FormatInt(n/u.size, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(*b), 10)
}

func (b *byteSize) Set(s string) error {
	digits, unit := s, int64(1)
	for _, u := range byteUnits {
		if d, ok := strings.CutSuffix(s, u.name); ok {
			digits, unit = d, u.size
			break
		}
	}
	n, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 64)
	if err != nil || n < 0 || n > 1<<62/unit {
		return errors.New("not a size like 16MiB or 100000")
	}
	*b = byteSize(n * unit)
	return nil
}

func (b *byteSize) Type() string { return "size" }

// parseWatermark reads how much of a disk stays free: a size like 512MiB, a share like 5%, or 0 for
// nothing.
func parseWatermark(s string) (disk.Watermark, error) {
	if p, ok := strings.CutSuffix(s, "%"); ok {
		v, err := strconv.ParseFloat(strings.TrimSpace(p), 64)
		if err != nil || !(v > 0 && v <= 90) {
			return disk.Watermark{}, fmt.Errorf("%q is not a share between 0%% and 90%%", s)
		}
		return disk.Watermark{Percent: v}, nil
	}
	var n byteSize
	if err := n.Set(s); err != nil || n > 1<<50 {
		return disk.Watermark{}, fmt.Errorf("%q is not a size like 512MiB or a share like 5%%", s)
	}
	if n == 0 {
		n = -1
	}
	return disk.Watermark{Bytes: int64(n)}, nil
}
