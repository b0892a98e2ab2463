package cluster

import (
	"encoding/binary"
	"sync"
	"time"
)

// Calls and answers go over the bus in pieces, each a request with a receipt for its reply. So a
// piece that was lost is sent again, what comes twice is known, and an owner knows whether its
// answer was heard.
//
//	kind 1, part 4, parts 4, id 8, from 16, age 4, bytes
//
// The age is how many ms ago the whole was made: leases have less time left by then.
const pieceHead = 37

const (
	pieceCall   = 'c' // of a call
	pieceAnswer = 'a' // of an answer
	pieceAsk    = 'q' // is there anything of the call?
	pieceCancel = 'x' // the caller is gone
)

// Receipts.
const (
	receiptHeard   = 'k' // it is there, or was there before
	receiptMoved   = 'n' // this gateway is not the owner: the call is not done
	receiptUnknown = 'u' // nothing is known of the call
	receiptBusy    = 'b' // there is no room for it now
)

// A callID names a call: the caller and its number.
type callID struct {
	from string
	id   uint64
}

// A piece is a part of a call or of an answer.
type piece struct {
	kind        byte
	part, parts uint32 // from 0
	callID
	made  time.Time // here, as far as its age says
	bytes []byte
}

func (p *piece) append(dst []byte) []byte {
	dst = append(dst, p.kind)
	dst = binary.LittleEndian.AppendUint32(dst, p.part)
	dst = binary.LittleEndian.AppendUint32(dst, p.parts)
	dst = binary.LittleEndian.AppendUint64(dst, p.id)
	dst = append(dst, p.from[:16]...)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(time.Since(p.made).Milliseconds()))
	return append(dst, p.bytes...)
}

func openPiece(msg []byte) (p piece, ok bool) {
	if len(msg) < pieceHead {
		return p, false
	}
	p = piece{kind: msg[0], part: binary.LittleEndian.Uint32(msg[1:]), parts: binary.LittleEndian.Uint32(msg[5:]),
		callID: callID{string(msg[17:33]), binary.LittleEndian.Uint64(msg[9:])}, bytes: msg[pieceHead:]}
	p.made = time.Now().Add(-time.Duration(binary.LittleEndian.Uint32(msg[33:])) * time.Millisecond)
	return p, p.part < p.parts && p.parts <= mostParts
}

const (
	mostBytes = 256 << 20 // of calls that are coming in, and of answers that are
	mostParts = mostBytes / (64 << 10)
)

// cutPieces cuts a call or an answer into pieces of at most size bytes with their heads.
func cutPieces(kind byte, id callID, data []byte, size int) (list []piece) {
	for most := size - pieceHead; ; {
		n := min(len(data), most)
		list = append(list, piece{kind: kind, part: uint32(len(list)), callID: id, bytes: data[:n]})
		if data = data[n:]; len(data) == 0 {
			break
		}
	}
	for i := range list {
		list[i].parts, list[i].made = uint32(len(list)), time.Now()
	}
	return list
}

// A joiner puts pieces together.
type joiner struct {
	parts [][]byte
	have  int
	size  int
	made  time.Time
}

// add takes a piece, and tells whether all are there.
func (j *joiner) add(p piece) (whole bool) {
	if j.parts == nil {
		j.parts = make([][]byte, p.parts)
	}
	if int(p.part) < len(j.parts) && j.parts[p.part] == nil {
		j.parts[p.part] = p.bytes
		j.have++
		j.made = p.made
		j.size += len(p.bytes)
	}
	return j.have == len(j.parts)
}

func (j *joiner) join() []byte {
	if len(j.parts) == 1 {
		return j.parts[0]
	}
	all := make([]byte, 0, j.size)
	for _, b := range j.parts {
		all = append(all, b...)
	}
	return all
}

// An ended set remembers calls for at least 10 s after their end, so that what comes late or twice
// is known. Safe for concurrent use.
type ended struct {
	mu         sync.Mutex // guards everything below
	turned     time.Time
	new, older map[callID]struct{}
}

const endedFor = 10 * time.Second

func (e *ended) turn() {
	if time.Since(e.turned) > endedFor {
		e.turned, e.older, e.new = time.Now(), e.new, map[callID]struct{}{}
	}
}

func (e *ended) add(id callID) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.turn()
	e.new[id] = struct{}{}
}

func (e *ended) has(id callID) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.turn()
	_, is := e.new[id]
	_, was := e.older[id]
	return is || was
}
