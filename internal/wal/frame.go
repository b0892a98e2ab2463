package wal

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math"
)

// A frame is a header, the payload, and zeros up to a multiple of 8:
//
//	 0 magic and version 4      32 wall time ms 8
//	 4 payload length 4         40 record count 4
//	 8 segment number 8         44 durable length of the file, in pages of 4 KiB 4
//	16 position 8               48 CRC-32C of payload and padding 4
//	24 durable position 8       52 CRC-32C of bytes 0 to 51, seeded with the segment's salt 4
//
// A frame without payload is a mark, written by the log itself. All numbers are little-endian. The
// salt and the segment number keep payloads that imitate frames, and old bytes in recycled blocks,
// from passing for frames.
const (
	frameMagic = 0x02465147 // "GQF" and version 2
	frameAlign = 8
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var (
	errNoMagic    = errors.New("no frame here")
	errHeaderSum  = errors.New("frame header checksum differs")
	errHeaderData = errors.New("frame header makes no sense")
	errPayloadSum = errors.New("frame payload checksum differs")
	errCutShort   = errors.New("frame is cut short")
)

type frameHeader struct {
	length  uint32 // of the payload, without padding
	segment uint64
	pos     Pos
	durable Pos // everything before it was durable when the frame was written
	time    int64
	count   uint32
	room    uint32 // pages that the file had, durably, when the frame was written
	sum     uint32 // of payload and padding
}

// size is the length of the whole frame, header and padding included.
func (h *frameHeader) size() int64 {
	return HeaderSize + padded(int64(h.length))
}

// mark tells that the log itself wrote the frame.
func (h *frameHeader) mark() bool { return h.length == 0 }

func padded(n int64) int64 { return (n + frameAlign - 1) &^ (frameAlign - 1) }

// encode fills b[:HeaderSize].
func (h *frameHeader) encode(b []byte, salt uint32) {
	le := binary.LittleEndian
	_ = b[HeaderSize-1]
	le.PutUint32(b[0:], frameMagic)
	le.PutUint32(b[4:], h.length)
	le.PutUint64(b[8:], h.segment)
	le.PutUint64(b[16:], uint64(h.pos))
	le.PutUint64(b[24:], uint64(h.durable))
	le.PutUint64(b[32:], uint64(h.time))
	le.PutUint32(b[40:], h.count)
	le.PutUint32(b[44:], h.room)
	le.PutUint32(b[48:], h.sum)
	le.PutUint32(b[52:], crc32.Update(salt, castagnoli, b[:52]))
}

// parseFrameHeader reads a header from the beginning of b. The length it returns is
// at most MaxPayload; whether the file has that many bytes is the caller's to check.
func parseFrameHeader(b []byte, salt uint32) (frameHeader, error) {
	le := binary.LittleEndian
	if len(b) < HeaderSize {
		return frameHeader{}, errCutShort
	}
	if le.Uint32(b) != frameMagic {
		return frameHeader{}, errNoMagic
	}
	if le.Uint32(b[52:]) != crc32.Update(salt, castagnoli, b[:52]) {
		return frameHeader{}, errHeaderSum
	}
	h := frameHeader{
		length: le.Uint32(b[4:]), segment: le.Uint64(b[8:]),
		pos: Pos(le.Uint64(b[16:])), durable: Pos(le.Uint64(b[24:])), time: int64(le.Uint64(b[32:])),
		count: le.Uint32(b[40:]), room: le.Uint32(b[44:]), sum: le.Uint32(b[48:]),
	}
	if h.length > MaxPayload || h.count > math.MaxInt32 ||
		h.pos%frameAlign != 0 || h.durable > h.pos {
		return frameHeader{}, errHeaderData
	}
	return h, nil
}

// headerAt parses b as the header of the frame at pos of segment s.
func (s *segment) headerAt(b []byte, pos Pos) (frameHeader, error) {
	h, err := parseFrameHeader(b, s.salt)
	if err == nil && (h.segment != s.no || h.pos != pos) {
		err = errHeaderData
	}
	return h, err
}

// check verifies body, which is the payload and its padding.
func (h *frameHeader) check(body []byte) error {
	if crc32.Checksum(body, castagnoli) != h.sum {
		return errPayloadSum
	}
	return nil
}
