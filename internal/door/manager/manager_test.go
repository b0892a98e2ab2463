package manager

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"os"
	"strings"
	"testing"

	"github.com/glassq/glassq/internal/door"
)

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestHandshakeVectors: answers and challenges of every Python, as captured.
func TestHandshakeVectors(t *testing.T) {
	file, err := os.ReadFile("testdata/auth.tsv")
	if err != nil {
		t.Fatal(err)
	}
	var challenge []byte
	access := door.NewAccess([]byte("other"), []byte("secret"))
	n := 0
	for line := range strings.Lines(string(file)) {
		if line[0] == '#' {
			continue
		}
		f := strings.Split(strings.TrimRight(line, "\n"), "\t")
		n++
		message := unhex(t, f[2])
		switch f[0] {
		case "challenge":
			challenge = message
		case "accept", "reject":
			key, _, by, err := checkAnswer(access, challenge, message, false)
			if (err == nil) != (f[0] == "accept") || err == nil && string(key) != "secret" {
				t.Errorf("%s: %v with key %q, by %s", f[1], err, key, by)
			}
			if _, _, _, err := checkAnswer(access, challenge, message, true); err == nil && strings.Contains(f[1], "md5") {
				t.Errorf("%s: strict accepts MD5", f[1])
			}
		case "answer", "refuse":
			got, ok := answerTo([]byte("secret"), message, proof{named: true}, false)
			if want := unhex(t, f[3]); ok != (len(want) > 0) || ok && !bytes.Equal(got, want) {
				t.Errorf("%s: answer %x, %v; want %x", f[1], got, ok, want)
			}
		}
	}
	if n < 10 {
		t.Errorf("%d vectors; the file has more", n)
	}
}

// FuzzFrame: a message is read back as it was written, and no length costs memory before its bytes
// come.
func FuzzFrame(f *testing.F) {
	f.Add([]byte{0, 0, 0, 1, 'x'})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 1, 'x'})
	f.Add([]byte{0xff, 0xff, 0xff, 0xfe})
	f.Add([]byte{0x7f, 0xff, 0xff, 0xff, 'x'})
	f.Fuzz(func(t *testing.T, in []byte) {
		got, err := readFrame(bufio.NewReader(bytes.NewReader(in)), nil, 1<<31)
		if cap(got) > 4*(len(in)+readStep) {
			t.Fatalf("%d bytes of input cost %d", len(in), cap(got))
		}
		if err != nil {
			return
		}
		again, err := readFrame(bufio.NewReader(bytes.NewReader(endFrame(append(beginFrame(nil), got...)))), nil, 1<<31)
		if err != nil || !bytes.Equal(again, got) {
			t.Fatalf("%x came back as %x, %v", got, again, err)
		}
	})
}
