package jsonline

import (
	"strconv"
	"unicode/utf8"
)

// AppendExcerpt appends members of an object, each behind a comma, that say how a stream of all bytes
// begins: what was kept of it as text called name, or as base64 called name_b64 where it is not UTF-8,
// and as name_cut how many bytes there were beyond. A character that was cut in two is left out.
func AppendExcerpt(dst []byte, name string, kept []byte, all int64) []byte {
	if int64(len(kept)) < all {
		for i := 1; i <= min(len(kept), utf8.UTFMax); i++ {
			if last := kept[len(kept)-i:]; utf8.RuneStart(last[0]) {
				if !utf8.FullRune(last) {
					kept = kept[:len(kept)-i]
				}
				break
			}
		}
	}
	key := func(end string) []byte { return append(append(append(dst, ',', '"'), name...), end...) }
	switch {
	case len(kept) == 0 && all > 0:
	case utf8.Valid(kept):
		dst = AppendString(key(`":`), kept)
	default:
		dst = AppendBase64(key(`_b64":`), kept)
	}
	if cut := all - int64(len(kept)); cut > 0 {
		dst = strconv.AppendInt(key(`_cut":`), cut, 10)
	}
	return dst
}
