package state

import (
	"encoding/binary"

	"github.com/glassq/glassq"
)

// A packed chunk is what a chunk's live entries need over those before them: neighbours were mostly
// put by one caller in one batch, so most entries are one byte. A byte of bits says which of the
// following differ from what the entry before predicts, and those that do come after it, in this
// order:
//
//	gap     its place minus the place before, when that is not 1
//	frame   change of the frame, zigzag
//	offset  change of the offset, zigzag, when it is not the change before; the offset in a new frame
//	flags   the state and the flags, one byte
//	size    of the body
//	tries   attempts
//	class
//	n       change of n less the gap, zigzag, when it is not 0
//
// The encoding of given entries is always the same bytes, so equal states write equal snapshots.
const (
	packGap = 1 << iota
	packFrame
	packOffset
	packFlags
	packSize
	packTries
	packClass
	packN
)

// packedMost is more than a packed chunk can have.
const packedMost = chunkLen * (2 + 7*binary.MaxVarintLen64)

func zigzag(v int64) uint64   { return uint64(v)<<1 ^ uint64(v>>63) }
func unzigzag(u uint64) int64 { return int64(u>>1) ^ -int64(u&1) }

// pack appends the live entries of a chunk.
func pack(dst []byte, all *[chunkLen]entry) []byte {
	var prev entry
	place, step := -1, int64(0)
	for i := range all {
		e := &all[i]
		if e.state() == glassq.Gone {
			continue
		}
		at := len(dst)
		dst = append(dst, 0)
		var bits byte
		gap := i - place
		place = i
		if gap != 1 {
			bits |= packGap
			dst = binary.AppendUvarint(dst, uint64(gap))
		}
		offset := int64(e.offset())
		if prev.frame() != e.frame() {
			bits |= packFrame
			dst = binary.AppendUvarint(dst, zigzag(int64(e.frame()-prev.frame())))
			if offset != 0 {
				bits |= packOffset
				dst = binary.AppendUvarint(dst, uint64(offset))
			}
		} else if d := offset - int64(prev.offset()); d != step {
			bits |= packOffset
			dst = binary.AppendUvarint(dst, zigzag(d))
			step = d
		}
		if byte(e.w0) != byte(prev.w0) {
			bits |= packFlags
			dst = append(dst, byte(e.w0))
		}
		if e.size() != prev.size() {
			bits |= packSize
			dst = binary.AppendUvarint(dst, uint64(e.size()))
		}
		if e.attempts() != prev.attempts() {
			bits |= packTries
			dst = binary.AppendUvarint(dst, uint64(e.attempts()))
		}
		if e.class != prev.class {
			bits |= packClass
			dst = binary.AppendUvarint(dst, uint64(e.class))
		}
		if d := int64(e.n) - int64(prev.n) - int64(gap); d != 0 {
			bits |= packN
			dst = binary.AppendUvarint(dst, zigzag(d))
		}
		dst[at] = bits
		prev = *e
	}
	return dst
}

// unpack fills all, which is empty, from what pack wrote, and tells how many entries live and
// between which frames they lie. ok is false when b was not written by pack.
func unpack(b []byte, all *[chunkLen]entry) (live int, first, last uint64, ok bool) {
	r := reader{b: b}
	var prev entry
	place, step := -1, int64(0)
	first = maxFrame
	for len(r.b) > 0 {
		bits := r.b[0]
		r.b = r.b[1:]
		e := prev
		gap := 1
		if bits&packGap != 0 {
			gap = int(min(r.uvarint(), chunkLen+1))
		}
		if place += gap; gap < 1 || place >= chunkLen {
			return 0, 0, 0, false
		}
		offset := int64(prev.offset())
		switch {
		case bits&packFrame != 0:
			frame := prev.frame() + uint64(unzigzag(r.uvarint()))
			if frame > maxFrame {
				return 0, 0, 0, false
			}
			e.w0 = frame<<8 | prev.w0&0xff
			offset = 0
			if bits&packOffset != 0 {
				offset = int64(min(r.uvarint(), maxOffset+1))
			}
		case bits&packOffset != 0:
			step = unzigzag(r.uvarint())
			offset += step
		default:
			offset += step
		}
		if bits&packFlags != 0 {
			e.w0 = e.w0&^0xff | uint64(r.byte())
		}
		size, tries := uint64(prev.size()), uint64(prev.attempts())
		if bits&packSize != 0 {
			size = r.uvarint()
		}
		if bits&packTries != 0 {
			tries = r.uvarint()
		}
		if bits&packClass != 0 {
			class := r.uvarint()
			r.bad = r.bad || class >= uint64(noClass)
			e.class = uint32(class)
		}
		n := int64(prev.n) + int64(gap)
		if bits&packN != 0 {
			n += unzigzag(r.uvarint())
		}
		if r.bad || offset < 0 || offset > maxOffset || size > maxSize || tries > maxTries || n < 0 || n > 1<<32-1 ||
			e.state() < glassq.Delayed || e.state() > glassq.Dead {
			return 0, 0, 0, false
		}
		e.w1 = uint64(offset)<<37 | size<<12 | tries
		e.n = uint32(n)
		all[place] = e
		prev = e
		live++
		first, last = min(first, e.frame()), max(last, e.frame())
	}
	return live, first, last, true
}
