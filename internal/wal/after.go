package wal

// After is the position that follows a frame at pos with a payload of that many bytes. So the place
// of a record in the next frame is known while this one is still being written.
func After(pos Pos, payload int) Pos {
	return pos + HeaderSize + Pos(padded(int64(payload)))
}
