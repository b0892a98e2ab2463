package httpdoor

import (
	"archive/tar"
	"io"
	"net/http"
	"time"

	"github.com/glassq/glassq/internal/door"
)

const typeTar = "application/x-tar"

// backup answers with a tar of the files of a copy of the store. A copy that fails half way breaks the
// connection, so that nobody takes it for whole. POST, because a web page can send a GET to anyone.
func (s *Server) backup(rw http.ResponseWriter, r *http.Request) error {
	if q := parseQuery(r); q.err != nil {
		return q.err
	}
	to := steady{rw}
	defer to.done()
	out := tar.NewWriter(to)
	begun := false
	err := s.broker.Copy(r.Context(), func(name string, size int64, in io.Reader) error {
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

// A steady writer has its reader keep the pace of all answers. The caller must call done.
type steady struct{ http.ResponseWriter }

func (s steady) Write(b []byte) (int, error) {
	c := http.NewResponseController(s.ResponseWriter)
	if err := (*door.Answer)(nil).Send(receiver{s.ResponseWriter, c}, b); err != nil {
		return 0, err
	}
	return len(b), nil
}

// done ends the pace: the connection lives on.
func (s steady) done() { http.NewResponseController(s.ResponseWriter).SetWriteDeadline(time.Time{}) }

// Unwrap is for http.ResponseController.
func (s steady) Unwrap() http.ResponseWriter { return s.ResponseWriter }
