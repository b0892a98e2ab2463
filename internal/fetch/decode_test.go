package fetch

import (
	"bytes"
	"compress/gzip"
	"errors"
	"runtime"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"
)

// TestDecodeBounds: what a server has packed costs no more than the limit, whatever it says of
// itself.
func TestDecodeBounds(t *testing.T) {
	const limit = 1 << 20
	zeros := make([]byte, 16*limit)
	packed := func(b []byte) []byte {
		var out bytes.Buffer
		w := gzip.NewWriter(&out)
		w.Write(b)
		w.Close()
		return out.Bytes()
	}
	window := func(log byte) []byte { // one byte, x, in a frame with a window of 2^log
		return []byte{0x28, 0xb5, 0x2f, 0xfd, 0, (log - 10) << 3, 9, 0, 0, 'x'}
	}
	tests := []struct {
		name, encoding string
		body           []byte
		err            error // nil for decoded
	}{
		{"gzip", "gzip", packed(zeros), errTooLarge},
		{"gzip within gzip", "gzip, gzip", packed(packed(zeros)), errTooLarge},
		{"many members", "gzip", bytes.Repeat(packed(zeros[:limit/4]), 5), errTooLarge},
		{"deflate", "deflate", fasthttp.AppendDeflateBytes(nil, zeros), errTooLarge},
		{"br", "br", fasthttp.AppendBrotliBytes(nil, zeros), errTooLarge},
		{"zstd", "zstd", fasthttp.AppendZstdBytes(nil, zeros), errTooLarge},
		{"zstd, a usual one", "zstd", fasthttp.AppendZstdBytes(nil, zeros[:limit]), nil},
		{"zstd with the largest window of HTTP", "zstd", window(23), nil},
		{"zstd with a window of 512 MiB", "zstd", window(29), errDecode},
		{"br with a window of 1 GiB", "br", []byte{0x11, 0xde}, errDecode},
		{"packed too often", strings.Repeat("gzip,", maxEncodings) + "gzip", packed(nil), errDecode},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := decode(tt.body, tt.encoding, limit)
			runtime.ReadMemStats(&after)
			if !errors.Is(err, tt.err) {
				t.Errorf("%v; want %v", err, tt.err)
			}
			if used := (after.TotalAlloc - before.TotalAlloc) >> 20; used > 64 {
				t.Errorf("%d MiB allocated for %d bytes and a limit of 1 MiB", used, len(tt.body))
			}
		})
	}
}
