package dashboard

import (
	"crypto/sha256"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/glassq/glassq/internal/door"
)

// TestSessions: the one used least lately goes when there are too many, and one that is not used
// ends.
func TestSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := sessions{all: map[[sha256.Size]byte]*session{}}
		request := func(text string) *http.Request {
			r := &http.Request{Header: http.Header{}, Host: "localhost:1"}
			r.AddCookie(&http.Cookie{Name: "glassq-session-1", Value: text})
			return r
		}
		first := s.begin(door.Who{})
		time.Sleep(time.Second)
		second := s.begin(door.Who{})
		time.Sleep(time.Second)
		if s.find(request(first)) == nil {
			t.Fatal("a session is not found")
		}
		time.Sleep(time.Second)
		for range maxSessions - 1 {
			s.begin(door.Who{})
		}
		if len(s.all) != maxSessions || s.find(request(second)) != nil || s.find(request(first)) == nil {
			t.Errorf("%d sessions, want %d without the one used least lately", len(s.all), maxSessions)
		}
		time.Sleep(sessionIdle)
		if s.find(request(first)) == nil {
			t.Error("a session ends too early")
		}
		time.Sleep(sessionIdle + time.Second)
		if s.find(request(first)) != nil {
			t.Error("a session that is not used does not end")
		}
	})
}
