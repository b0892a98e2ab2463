package httpdoor

import (
	"archive/tar"
	"context"
	"io"
	"net/http"
	"time"

	"github.com/glassq/glassq/internal/door"
)

const (
	typeTar     = "application/x-tar"
	typeArchive = "application/octet-stream"
)

// backup answers with a tar of the files of a copy of the store, or with an archive. A copy that
// fails half way breaks the connection, so that nobody takes it for whole. POST, because a web page
// can send a GET to anyone.
func (s *call) backup(rw http.ResponseWriter, r *http.Request) error {
	q := parseQuery(r, "form")
	form := q.oneOf("form", "files", "archive")
	if q.err != nil {
		return q.err
	}
	w := &steady{ResponseWriter: rw, kind: typeTar}
	defer w.done()
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

// A steady writer has its reader keep the pace of all answers, and says before the first byte what
// comes, unless kind is "". The caller must call done.
type steady struct {
	http.ResponseWriter
	kind  string
	begun bool
}

func (s *steady) Write(b []byte) (int, error) {
	if !s.begun && s.kind != "" {
		s.Header().Set("Content-Type", s.kind)
	}
	s.begun = true
	c := http.NewResponseController(s.ResponseWriter)
	if err := (*door.Answer)(nil).Send(receiver{s.ResponseWriter, c}, b); err != nil {
		return 0, err
	}
	return len(b), nil
}

// done ends the pace: the connection lives on.
func (s *steady) done() { http.NewResponseController(s.ResponseWriter).SetWriteDeadline(time.Time{}) }

// Unwrap is for http.ResponseController.
func (s *steady) Unwrap() http.ResponseWriter { return s.ResponseWriter }
