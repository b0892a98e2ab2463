package wal

import (
	"fmt"
	"testing"
)

func BenchmarkAppend(b *testing.B) {
	for _, size := range []int{1 << 10, 64 << 10} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			l := open(b, DirFS(b.TempDir()), 0)
			replayAll(b, l, 0)
			buf := make([]byte, HeaderSize+size)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				if err := l.Append(buf, 1, 1); err != nil {
					b.Fatal(err)
				}
			}
			ok(b, "Close", l.Close())
		})
	}
}

func BenchmarkAppendSync4K(b *testing.B) {
	l := open(b, DirFS(b.TempDir()), 0)
	replayAll(b, l, 0)
	buf := make([]byte, HeaderSize+4<<10)
	for b.Loop() {
		if err := l.Append(buf, 1, 1); err != nil {
			b.Fatal(err)
		}
		if err := l.Sync(); err != nil {
			b.Fatal(err)
		}
	}
	ok(b, "Close", l.Close())
}

func BenchmarkReadFrame1K(b *testing.B) {
	l := open(b, DirFS(b.TempDir()), 0)
	replayAll(b, l, 0)
	e := add(b, l, 1, string(make([]byte, 1<<10)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := l.ReadFrame(e.pos, nil); err != nil {
			b.Fatal(err)
		}
	}
	ok(b, "Close", l.Close())
}
