package cluster

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"time"
)

// A message of the log is a head and bytes of records. All numbers are little-endian:
//
//	 0  magic and version      4
//	 4  CRC-32C of 8 to 107    4
//	 8  store                 16  which store the log is of
//	24  link                   8  the chain's value before this message
//	32  number                 8  its own in the log
//	40  epoch                  8  grows with each owner
//	48  writer                 8  by chance, another for each reign
//	56  time                   8  ms since 1970, of the first record; 0 in a claim
//	64  first                  8  number of the frame's first message
//	72  part, parts            4, 4  from 1; all messages of a frame follow each other
//	80  records                4  of the frame; 0 is a claim
//	84  bytes                  4  behind the head
//	88  CRC-32C of them        4
//	92  zeros                 16
//
// The chain's value after a message is the start of the SHA-256 of its head. So a log that lacks a
// message, or has another one in its place, does not check out from there on.
//
// A claim begins the reign of an owner. A message whose link is not the chain's value is void if an
// owner of an earlier epoch wrote it, or one that lost the race for this one: it sent several at
// once, the first one came too late, and the next found the new owner's message where it expected
// its own. Nobody was told that it was stored. Where a void message has taken the number of one that
// the present owner had on its way, that one is refused, and those sent behind it are void as well:
// the owner steps down. Any other wrong link is damage.
const (
	magic    = 'G' | 'Q'<<8 | 'C'<<16 | 1<<24
	headSize = 108
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

type storeID [16]byte

// A head is what a message says of itself.
type head struct {
	store       storeID
	link        uint64
	number      uint64
	epoch       uint64
	writer      uint64
	time        int64
	first       uint64
	part, parts uint32
	records     uint32
}

// seal writes the head of a message to its first bytes, and returns the chain's value after it.
func (h *head) seal(msg []byte) uint64 {
	le, body := binary.LittleEndian, msg[headSize:]
	clear(msg[:headSize])
	le.PutUint32(msg, magic)
	copy(msg[8:], h.store[:])
	le.PutUint64(msg[24:], h.link)
	le.PutUint64(msg[32:], h.number)
	le.PutUint64(msg[40:], h.epoch)
	le.PutUint64(msg[48:], h.writer)
	le.PutUint64(msg[56:], uint64(h.time))
	le.PutUint64(msg[64:], h.first)
	le.PutUint32(msg[72:], h.part)
	le.PutUint32(msg[76:], h.parts)
	le.PutUint32(msg[80:], h.records)
	le.PutUint32(msg[84:], uint32(len(body)))
	le.PutUint32(msg[88:], crc32.Checksum(body, castagnoli))
	le.PutUint32(msg[4:], crc32.Checksum(msg[8:headSize], castagnoli))
	return chainOf(msg)
}

// chainOf is the chain's value after a message.
func chainOf(msg []byte) uint64 {
	sum := sha256.Sum256(msg[:headSize])
	return binary.LittleEndian.Uint64(sum[:])
}

var errForeign = errors.New("it is no message of this store")

// open takes a message apart, verified. body aliases msg.
func open(msg []byte) (h head, body []byte, err error) {
	le := binary.LittleEndian
	if len(msg) < headSize || le.Uint32(msg)&0xffffff != magic&0xffffff {
		return h, nil, errForeign
	}
	if v := msg[3]; v != magic>>24 {
		return h, nil, fmt.Errorf("it has format %d, this program knows %d: use a newer one", v, magic>>24)
	}
	body = msg[headSize:]
	if crc32.Checksum(msg[8:headSize], castagnoli) != le.Uint32(msg[4:]) || int(le.Uint32(msg[84:])) != len(body) ||
		crc32.Checksum(body, castagnoli) != le.Uint32(msg[88:]) {
		return h, nil, errors.New("its checksum is wrong")
	}
	copy(h.store[:], msg[8:])
	h.link, h.number = le.Uint64(msg[24:]), le.Uint64(msg[32:])
	h.epoch, h.writer = le.Uint64(msg[40:]), le.Uint64(msg[48:])
	h.time, h.first = int64(le.Uint64(msg[56:])), le.Uint64(msg[64:])
	h.part, h.parts = le.Uint32(msg[72:]), le.Uint32(msg[76:])
	h.records = le.Uint32(msg[80:])
	if h.part == 0 || h.part > h.parts || h.first+uint64(h.part)-1 != h.number {
		return h, nil, errors.New("its head says what cannot be")
	}
	return h, body, nil
}

// A point is a place in the log: the messages up to number, of which the chain has that value.
type point struct {
	number uint64
	chain  uint64
}

func (p point) String() string { return fmt.Sprintf("%d (chain %016x)", p.number, p.chain) }

// A frame is a frame of the engine as the log holds it.
type frame struct {
	first   uint64
	time    int64
	records []byte
}

// A follower reads a log, one message after the other, and finds the frames in it.
type follower struct {
	store  storeID
	at     point
	epoch  uint64    // of the newest claim
	writer uint64    // of it
	seen   time.Time // when the last message was read
	broken bool      // a void message came behind the newest claim
	open   frame     // parts of a frame so far
	want   uint32    // the part that comes next; 0: a new frame
}

// next takes the message n. f is the frame that is whole with it, or nil. void says that the
// message counts as if it were not there. An error says that the message is damaged, or another
// one; nothing is taken then.
func (r *follower) next(n uint64, msg []byte) (f *frame, void bool, err error) {
	h, body, err := open(msg)
	switch {
	case err != nil:
		return nil, false, fmt.Errorf("message %d: %w", n, err)
	case r.store != storeID{} && h.store != r.store:
		return nil, false, fmt.Errorf("message %d is of another store", n)
	case n != r.at.number+1:
		return nil, false, fmt.Errorf("message %d follows %d: those between are missing", n, r.at.number)
	case h.number != n:
		return nil, false, fmt.Errorf("message %d was written as %d", n, h.number)
	case h.link != r.at.chain:
		if h.epoch < r.epoch || h.epoch == r.epoch && (h.writer != r.writer || r.broken) {
			r.at.number, r.broken = n, true
			return nil, true, nil
		}
		return nil, false, fmt.Errorf("message %d does not follow what is before it: its link is %016x, the chain is %016x", n,
			h.link, r.at.chain)
	}
	claims := h.records == 0
	if claims && h.epoch <= r.epoch || !claims && (h.epoch != r.epoch || h.writer != r.writer) {
		return nil, false, fmt.Errorf("message %d is of epoch %d, in epoch %d", n, h.epoch, r.epoch)
	}
	r.store, r.at, r.seen = h.store, point{n, chainOf(msg)}, time.Now()
	if claims {
		r.epoch, r.writer, r.want, r.broken = h.epoch, h.writer, 0, false
		return nil, false, nil
	}
	switch {
	case h.part == 1:
		r.open = frame{first: n, time: h.time, records: body}
	case h.part == r.want && h.first == r.open.first:
		r.open.records = append(r.open.records, body...)
	default:
		return nil, false, fmt.Errorf("message %d is part %d of a frame of which part %d comes next", n, h.part, r.want)
	}
	if r.want = h.part + 1; h.part < h.parts {
		return nil, false, nil
	}
	whole := r.open
	r.open, r.want = frame{}, 0
	return &whole, false, nil
}
