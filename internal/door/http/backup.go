package httpdoor

import (
	"archive/tar"
	"io"
	"net/http"
	"time"
)

const typeTar = "application/x-tar"

// backup answers with a tar of the files of a copy of the store. A copy that fails half way breaks the
// connection, so that nobody takes it for whole. POST, because a web page can send a GET to anyone.
func (s *call) backup(rw http.ResponseWriter, r *http.Request) error {
	if q := parseQuery(r); q.err != nil {
		return q.err
	}
	out := tar.NewWriter(&steady{rw, http.NewResponseController(rw)})
	begun := false
	err := s.store.Copy(r.Context(), func(name string, size int64, in io.Reader) error {
		if !begun {
			begun = true
			rw.Header().Set("Content-Type", typeTar)
		}
		if err := out.WriteHeader(&tar.Header{Name: name, Size: size, Mode: 0o600}); err != nil {
			return err
		}
		_, err := io.Copy(out, in)
		return err
	})
	if err == nil {
		err = out.Close()
	}
	if err != nil && begun {
		s.frame.Log.Warn("a backup was broken off", "err", err)
		panic(http.ErrAbortHandler)
	}
	return err
}

// A steady writer moves the write deadline before every write.
type steady struct {
	w io.Writer
	c *http.ResponseController
}

func (s *steady) Write(b []byte) (int, error) {
	s.c.SetWriteDeadline(time.Now().Add(stallTimeout))
	return s.w.Write(b)
}
