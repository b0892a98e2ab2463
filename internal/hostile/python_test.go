package hostile

import (
	"bufio"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"net"
)

// A python is a client of the manager door.
type python struct {
	nc *net.TCPConn
	r  *bufio.Reader
}

func (s *server) knock() *python {
	s.t.Helper()
	nc := s.dial(s.python)
	return &python{nc, bufio.NewReader(nc)}
}

func (p *python) send(b []byte) error {
	_, err := p.nc.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...))
	return err
}

func (p *python) read() ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(p.r, size[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(size[:])
	if n > 1<<20 {
		return nil, errors.New("a message of the door is too large")
	}
	b := make([]byte, n)
	_, err := io.ReadFull(p.r, b)
	return b, err
}

// challenge reads what is to be answered.
func (p *python) challenge() ([]byte, error) {
	b, err := p.read()
	if err != nil {
		return nil, err
	}
	return b[len("#CHALLENGE#"):], nil
}

func answerTo(challenge []byte, key string) []byte {
	m := hmac.New(sha256.New, []byte(key))
	m.Write(challenge)
	return m.Sum([]byte("{sha256}"))
}

// greet shakes hands in both directions; nil says that the door did not let the client in.
func (s *server) greet(key string) *python {
	s.t.Helper()
	p := s.knock()
	c, err := p.challenge()
	if err != nil {
		s.t.Fatal(err)
	}
	p.send(answerTo(c, key))
	if b, err := p.read(); err != nil || string(b) != "#WELCOME#" {
		p.nc.Close()
		return nil
	}
	p.send([]byte("#CHALLENGE#{sha256}0123456789012345678901234567890123456789"))
	if _, err := p.read(); err != nil {
		s.t.Fatal(err)
	}
	p.send([]byte("#WELCOME#"))
	return p
}
