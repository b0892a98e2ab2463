package fetch

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/glassq/glassq/internal/jsonline"
	"github.com/glassq/glassq/internal/whole"
)

// What becomes of the bodies of answers.
const (
	CaptureOff  = "off"  // read and dropped
	CaptureHash = "hash" // member sha256
	CaptureText = "text" // member body, the first bytes of it
	CaptureFile = "file" // a file named for its SHA-256, in a folder; members sha256 and file
)

const (
	partDir  = ".part"   // in the folder for bodies: files that are not whole yet
	staleAge = time.Hour // after which such a file is of a worker that died
)

// A capture keeps bodies. It is safe for concurrent use, by several processes on one folder too.
type capture struct {
	mode string
	dir  string
	most int // bytes of body in the result
}

func newCapture(opt *Options) (*capture, error) {
	c := &capture{mode: opt.Capture, dir: opt.CaptureDir, most: opt.CaptureText}
	switch c.mode {
	case "":
		c.mode = CaptureOff
	case CaptureOff, CaptureHash, CaptureText, CaptureFile:
	default:
		return nil, fmt.Errorf("%q is not one of off, hash, text, file: what to keep of bodies", c.mode)
	}
	if (c.dir != "") != (c.mode == CaptureFile) {
		return nil, errors.New("bodies are kept as files in a folder: --save file and --save-dir go together")
	}
	if c.most == 0 {
		c.most = 8 << 10
	}
	if c.mode == CaptureFile {
		if err := os.MkdirAll(filepath.Join(c.dir, partDir), 0o777); err != nil {
			return nil, fmt.Errorf("make the folder for bodies: %w", err)
		}
		if err := c.clean(time.Now()); err != nil {
			return nil, fmt.Errorf("clean the folder for bodies: %w", err)
		}
	}
	return c, nil
}

// clean removes what workers left half written that died.
func (c *capture) clean(now time.Time) error {
	dir := filepath.Join(c.dir, partDir)
	list, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, entry := range list {
		info, err := entry.Info()
		if err != nil || !info.Mode().IsRegular() || now.Sub(info.ModTime()) < staleAge {
			continue // one that has gone is whole now
		}
		if err := os.Remove(filepath.Join(dir, entry.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// append keeps body and appends the members that say so to dst. An error means that it is not kept.
func (c *capture) append(dst, body []byte) ([]byte, error) {
	switch c.mode {
	case CaptureOff:
		return dst, nil
	case CaptureText:
		return jsonline.AppendExcerpt(dst, "body", body[:min(len(body), c.most)], int64(len(body))), nil
	}
	sum := sha256.Sum256(body)
	name := hex.EncodeToString(sum[:])
	dst = append(dst, `,"sha256":"`...)
	dst = append(dst, name...)
	dst = append(dst, '"')
	if c.mode == CaptureHash {
		return dst, nil
	}
	if err := c.save(name, body); err != nil {
		return dst, fmt.Errorf("keep the body: %w", err)
	}
	dst = append(dst, `,"file":"`...)
	dst = append(dst, name[:2]+"/"+name...)
	return append(dst, '"'), nil
}

// save writes body to <dir>/ab/abcdef… unless it is there: the same body is kept once. When save
// returns nil the file is whole and on the disk.
func (c *capture) save(name string, body []byte) (err error) {
	dir := filepath.Join(c.dir, name[:2])
	path := filepath.Join(dir, name)
	if info, err := os.Lstat(path); err == nil && info.Mode().IsRegular() && info.Size() == int64(len(body)) {
		return nil
	}
	err = os.Mkdir(dir, 0o777)
	made := err == nil
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	err = whole.Write(path, filepath.Join(c.dir, partDir), body, 0o600)
	if err != nil || !made {
		return err
	}
	return whole.SyncDir(c.dir)
}
