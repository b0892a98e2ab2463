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
	"fmt"
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

var (
	errKey = errors.New("wrong key")
	errMD5 = errors.New("MD5, which --manager-strict refuses")
)

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

// newChallenge is what every client from 2.7 on can answer: the new ones with SHA-256, the old ones
// with MD5, for which the prefix is a part of the message like any other.
func newChallenge() []byte {
	b := append(make([]byte, 0, 8+randomBytes), "{sha256}"...)
	b = b[:8+randomBytes]
	rand.Read(b[8:])
	return b
}

// A proof is how a client answered a challenge: the name of the digest, and whether that stood
// before it.
type proof struct {
	digest string // empty: none that is known
	named  bool
	size   int // bytes of the answer
}

func (p proof) String() string {
	switch {
	case p.digest == "":
		return fmt.Sprintf("%d bytes, which is no digest that Python sends", p.size)
	case p.named:
		return "{" + p.digest + "}"
	}
	return p.digest + " without a name"
}

// bare are the digests without a name before them, by their bytes: MD5 of Python 3.11 and older,
// and the SHA-256 that systems of the Red Hat family have put in its place.
var bare = map[int]string{md5.Size: "md5", sha256.Size: "sha256"}

// proofOf splits an answer into what it says of itself and the digest.
func proofOf(answer []byte) (p proof, sum []byte) {
	p = proof{digest: bare[len(answer)], size: len(answer)}
	if p.digest != "" {
		return p, answer
	}
	name, sum, ok := namedDigest(answer)
	if ok && len(sum) == digests[name]().Size() {
		p.digest, p.named = name, true
	}
	return p, sum
}

// namedDigest splits a message that begins with the name of a digest in braces.
func namedDigest(m []byte) (name string, rest []byte, ok bool) {
	end := bytes.IndexByte(m, '}')
	if end < 0 || m[0] != '{' {
		return "", nil, false
	}
	_, ok = digests[string(m[1:end])]
	return string(m[1:end]), m[end+1:], ok
}

// checkAnswer returns the key with which the client answered challenge, whose that is, and how it
// was done. strict refuses MD5.
func checkAnswer(access *door.Access, challenge, answer []byte, strict bool) (key []byte, who door.Who, by proof,
	err error) {
	by, sum := proofOf(answer)
	switch {
	case by.digest == "":
		return nil, who, by, errKey
	case by.digest == "md5" && strict:
		return nil, who, by, errMD5
	}
	key, who, ok := access.WithProof(func(k []byte) bool { return hmac.Equal(mac(digests[by.digest], k, challenge), sum) })
	if !ok {
		return nil, who, by, errKey
	}
	return key, who, by, nil
}

// answerTo answers the client's challenge, a whole message. One that names no digest is answered
// with the one that the client used itself. It must not be called before the client has proven that
// it has the key.
func answerTo(key, message []byte, by proof, strict bool) (answer []byte, ok bool) {
	m, found := bytes.CutPrefix(message, []byte(wordChallenge))
	if !found {
		return nil, false
	}
	if len(m) == oldChallenge {
		digest := by.digest
		if by.named {
			digest = "md5"
		}
		return mac(digests[digest], key, m), digest != "md5" || !strict
	}
	name, _, ok := namedDigest(m)
	if !ok || len(m) <= oldChallenge || name == "md5" && strict {
		return nil, false
	}
	return append(bytes.Clone(m[:len(name)+2]), mac(digests[name], key, m)...), true
}
