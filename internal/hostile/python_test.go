package hostile

import (
	"bufio"
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"net"
)

// A python is a client of the manager door.
type python struct {
	nc net.Conn
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
	return bytes.TrimPrefix(b, []byte("#CHALLENGE#")), nil
}

func answerTo(challenge []byte, key string) []byte {
	m := hmac.New(sha256.New, []byte(key))
	m.Write(challenge)
	return m.Sum([]byte("{sha256}"))
}

// greet shakes hands in both directions; nil says that the door did not let the client in.
func (s *server) greet(key string) *python {
	s.t.Helper()
	return s.shake(s.dial(s.python), key)
}

// shake is greet over a connection that is there. It closes that when the door does not let the
// client in.
func (s *server) shake(nc net.Conn, key string) *python {
	p := &python{nc, bufio.NewReader(nc)}
	c, err := p.challenge()
	if err == nil {
		err = p.send(answerTo(c, key))
	}
	if err == nil {
		c, err = p.read()
	}
	if err != nil || string(c) != "#WELCOME#" {
		nc.Close()
		return nil
	}
	p.send([]byte("#CHALLENGE#{sha256}0123456789012345678901234567890123456789"))
	p.read() // what follows fails when this does
	p.send([]byte("#WELCOME#"))
	return p
}
