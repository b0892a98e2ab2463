package wal

import (
	"bytes"
	"io"
	"testing"
)

// unlocked is a file system whose lock a dead process does not hold.
type unlocked struct{ FS }

func (unlocked) Lock(string) (io.Closer, error) { return io.NopCloser(nil), nil }

func nothing(io.Writer) error { return nil }

func FuzzFrame(f *testing.F) {
	b := make([]byte, HeaderSize)
	h := frameHeader{length: 5, segment: 3, pos: 4096, durable: 4000, time: 7, count: 2, sum: 9}
	h.encode(b, 1)
	f.Add(b, uint32(1))
	f.Add([]byte{}, uint32(0))
	f.Fuzz(func(t *testing.T, in []byte, salt uint32) {
		h, err := parseFrameHeader(in, salt)
		if err != nil {
			return
		}
		out := make([]byte, HeaderSize)
		if h.encode(out, salt); !bytes.Equal(out, in[:HeaderSize]) {
			t.Fatalf("round trip: %x became %x", in[:HeaderSize], out)
		}
		if h.size() > HeaderSize+MaxPayload || h.size()%frameAlign != 0 {
			t.Fatalf("size = %d", h.size())
		}
	})
}

func FuzzSegmentHeader(f *testing.F) {
	s := segment{no: 3, first: 8192, salt: 77, room: 9999}
	b := make([]byte, pageSize)
	s.encodeHead(b, [16]byte{1, 2, 3})
	s.encodeSeal(b[sealOffset:], 9000)
	f.Add(b[:headSize])
	f.Add(b)
	f.Fuzz(func(t *testing.T, in []byte) {
		s, uuid, err := parseHead(in)
		if err != nil {
			return
		}
		out := make([]byte, headSize)
		if s.encodeHead(out, uuid); !bytes.Equal(out, in[:headSize]) {
			t.Fatalf("round trip: %x became %x", in[:headSize], out)
		}
		if len(in) > sealOffset {
			if end, ok := s.parseSeal(in[sealOffset:]); ok && end < s.first {
				t.Fatalf("seal ends at %d before %d", end, s.first)
			}
		}
	})
}

func FuzzCheckpoint(f *testing.F) {
	fsys := MemFS()
	l := open(f, fsys, 0)
	if err := l.Replay(0, func(Frame) error { return nil }); err != nil {
		f.Fatal(err)
	}
	l.uuid = [16]byte{4}
	if err := l.WriteCheckpoint(firstPos, func(w io.Writer) error {
		_, err := io.WriteString(w, "body")
		return err
	}); err != nil {
		f.Fatal(err)
	}
	file, err := fsys.Open(checkpointName(firstPos))
	if err != nil {
		f.Fatal(err)
	}
	b := make([]byte, checkpointHead+4+checkpointTrail)
	if _, err := file.ReadAt(b, 0); err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add(b[:70])
	f.Fuzz(func(t *testing.T, in []byte) {
		if err := verifyCheckpoint(bytes.NewReader(in), int64(len(in)), l.uuid, firstPos); err == nil {
			if !bytes.Equal(in[:checkpointHead], encodeCheckpointHead(l.uuid, firstPos)) {
				t.Fatalf("took the header %x", in[:checkpointHead])
			}
		} else if _, ok := err.(*CorruptError); !ok {
			t.Fatalf("verifyCheckpoint = %v, want *CorruptError", err)
		}
	})
}

// FuzzReplay puts arbitrary bytes behind a good header page: Replay may refuse or cut
// them, and must not panic or allocate what the file does not have.
func FuzzReplay(f *testing.F) {
	f.Add([]byte{}, uint16(0))
	f.Add(bytes.Repeat([]byte{0xff}, 200), uint16(30))
	f.Fuzz(func(t *testing.T, in []byte, at uint16) {
		fsys := &unlocked{MemFS()}
		l := open(t, fsys, 0)
		replayAll(t, l, 0)
		add(t, l, 1, "one")
		ok(t, "Sync", l.Sync())
		file, err := fsys.Open(segmentName(1))
		ok(t, "Open", err)
		file.WriteAt(in, pageSize+int64(at))
		l = open(t, fsys, 0)
		if err := l.Replay(0, func(Frame) error { return nil }); err == nil {
			add(t, l, 2, "two")
			ok(t, "Close", l.Close())
			replayAll(t, open(t, fsys, 0), 0)
		}
	})
}

// FuzzFormat: the format file is refused or read, never more.
func FuzzFormat(f *testing.F) {
	f.Add("glassq-wal 2 000102030405060708090a0b0c0d0e0f\n")
	f.Add("glassq-wal 9 whatever comes then\n")
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		version, _, err := parseFormat(text)
		if err == nil && version < 1 {
			t.Errorf("parseFormat(%q) = version %d", text, version)
		}
	})
}
