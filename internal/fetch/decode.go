package fetch

import (
	"bytes"
	"compress/flate"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/valyala/fasthttp"
)

// acceptEncoding is what a request says when answers are decoded.
const acceptEncoding = "gzip, deflate, br, zstd"

// maxEncodings bounds how often a body may be packed.
const maxEncodings = 3

// errDecode is of a body that is not what its header says.
var errDecode = errors.New("the body does not decode")

// decode returns what body is under encoding, the value of Content-Encoding. That is at most limit
// bytes long, whatever the body would grow to: else the error is errTooLarge.
func decode(body []byte, encoding string, limit int64) ([]byte, error) {
	if len(body) == 0 {
		return body, nil
	}
	list := strings.Split(encoding, ",")
	if len(list) > maxEncodings {
		return nil, fmt.Errorf("%w: it is packed %d times", errDecode, len(list))
	}
	for i := len(list) - 1; i >= 0; i-- {
		name := strings.ToLower(strings.TrimSpace(list[i]))
		if name == "" || name == "identity" {
			continue
		}
		w := &limited{room: limit}
		var err error
		switch name {
		case "gzip", "x-gzip":
			_, err = fasthttp.WriteGunzip(w, body)
		case "deflate":
			_, err = fasthttp.WriteInflate(w, body)
			if err != nil && w.buf.Len() == 0 { // many servers leave the frame out
				_, err = io.Copy(w, flate.NewReader(bytes.NewReader(body)))
			}
		case "br":
			_, err = fasthttp.WriteUnbrotli(w, body)
		case "zstd":
			err = unzstd(w, body, limit)
		default:
			return nil, fmt.Errorf("%w: its encoding %.20q was not asked for", errDecode, name)
		}
		switch {
		case w.over:
			return nil, errTooLarge
		case err != nil:
			return nil, fmt.Errorf("%w as %s", errDecode, name)
		}
		body = w.buf.Bytes()
	}
	return body, nil
}

// zstdWindow is the largest window that HTTP allows (RFC 9659).
const zstdWindow = 8 << 20

// unzstd writes to w what body is. fasthttp's own allocates the window that a frame names, up to
// 512 MiB.
func unzstd(w io.Writer, body []byte, limit int64) error {
	window := min(max(zstdWindow, uint64(limit)), zstd.MaxWindowSize)
	r, err := zstd.NewReader(bytes.NewReader(body), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(window))
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = io.Copy(w, r)
	return err
}

// A limited keeps up to room bytes and refuses more.
type limited struct {
	buf  bytes.Buffer
	room int64
	over bool
}

func (l *limited) Write(p []byte) (int, error) {
	if int64(len(p)) > l.room-int64(l.buf.Len()) {
		l.over = true
		return 0, errTooLarge
	}
	return l.buf.Write(p)
}
