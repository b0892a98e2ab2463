package httpdoor

import (
	"archive/tar"
	"context"
	"io"
	"net/http"
	"time"
)

const (
	typeTar     = "application/x-tar"
	typeArchive = "application/octet-stream"
)

// backup answers with a tar of the files of a copy of the store, or with an archive. A copy that fails half way breaks the
// connection, so that nobody takes it for whole. POST, because a web page can send a GET to anyone.
func (s *call) backup(rw http.ResponseWriter, r *http.Request) error {
	q := parseQuery(r, "form")
	form := q.oneOf("form", "files", "archive")
	if q.err != nil {
		return q.err
	}
	w := &steady{w: rw, c: http.NewResponseController(rw), kind: typeTar}
	var err error
	if form == "archive" {
		w.kind = typeArchive
		err = s.store.Archive(r.Context(), w)
	} else {
		err = s.copyTo(r.Context(), w)
	}
	if err != nil && w.begun {
		s.frame.Log.Warn("a backup was broken off", "err", err)
		panic(http.ErrAbortHandler)
	}
	return err
}

// copyTo writes a tar.
func (s *call) copyTo(ctx context.Context, w io.Writer) error {
	out := tar.NewWriter(w)
	err := s.store.Copy(ctx, func(name string, size int64, in io.Reader) error {
		if err := out.WriteHeader(&tar.Header{Name: name, Size: size, Mode: 0o600}); err != nil {
			return err
		}
		_, err := io.Copy(out, in)
		return err
	})
	if err != nil {
		return err
	}
	return out.Close()
}

// A steady writer moves the write deadline before every write, and says what comes before the first.
type steady struct {
	w     http.ResponseWriter
	c     *http.ResponseController
	kind  string
	begun bool
}

func (s *steady) Write(b []byte) (int, error) {
	if !s.begun {
		s.begun = true
		s.w.Header().Set("Content-Type", s.kind)
	}
	s.c.SetWriteDeadline(time.Now().Add(stallTimeout))
	return s.w.Write(b)
}
