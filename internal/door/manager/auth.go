package manager

import (
	"bytes"
	"crypto/hmac"
	"crypto/md5"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha3"
	"crypto/sha512"
	"errors"
	"hash"

	"github.com/glassq/glassq/internal/door"
)

// The words of the handshake, as multiprocessing.connection has them.
const (
	wordChallenge = "#CHALLENGE#"
	wordWelcome   = "#WELCOME#"
	wordFailure   = "#FAILURE#"

	maxHandshake = 256 // bytes of one message; the clients have the same limit
	randomBytes  = 40
	oldChallenge = 20 // bytes of a challenge of Python 3.11 and older
)

var errKey = errors.New("wrong key")

var digests = map[string]func() hash.Hash{
	"md5":      md5.New,
	"sha256":   sha256.New,
	"sha384":   sha512.New384,
	"sha3_256": func() hash.Hash { return sha3.New256() },
	"sha3_384": func() hash.Hash { return sha3.New384() },
}

func mac(h func() hash.Hash, key, message []byte) []byte {
	m := hmac.New(h, key)
	m.Write(message)
	return m.Sum(nil)
}

// newChallenge is what every client from 2.7 on can answer: the new ones with SHA-256, the old ones with
// MD5, for which the prefix is a part of the message like any other.
func newChallenge() []byte {
	b := append(make([]byte, 0, 8+randomBytes), "{sha256}"...)
	b = b[:8+randomBytes]
	rand.Read(b[8:])
	return b
}

// checkAnswer returns the key with which the client answered challenge. strict refuses MD5.
func checkAnswer(access *door.Access, challenge, answer []byte, strict bool) (key []byte, ok bool) {
	h, sum := md5.New, answer
	switch {
	case len(answer) == md5.Size && !strict:
	case len(answer) == 8+sha256.Size && bytes.HasPrefix(answer, []byte("{sha256}")):
		h, sum = sha256.New, answer[8:]
	default:
		return nil, false
	}
	return access.WithProof(func(k []byte) bool { return hmac.Equal(mac(h, k, challenge), sum) })
}

// answerTo answers the client's challenge, a whole message. It must not be called before the client has
// proven that it has the key.
func answerTo(key, message []byte, strict bool) (answer []byte, ok bool) {
	m, found := bytes.CutPrefix(message, []byte(wordChallenge))
	if !found {
		return nil, false
	}
	if len(m) == oldChallenge {
		return mac(md5.New, key, m), !strict
	}
	end := bytes.IndexByte(m, '}')
	if len(m) <= oldChallenge || m[0] != '{' || end < 0 {
		return nil, false
	}
	h, known := digests[string(m[1:end])]
	if !known {
		return nil, false
	}
	return append(bytes.Clone(m[:end+1]), mac(h, key, m)...), true
}
