package audit

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// maxLine bounds a line, in bytes: each text may be escaped to six times its length.
const maxLine = 64 << 10

// Read calls f with the entries of a folder, oldest first, until it returns an error, which Read
// returns. A server may write meanwhile. bad counts lines that are none; a folder without files has
// no entries.
func Read(folder string, f func(*Entry) error) (bad int, err error) {
	var files []*os.File
	defer func() {
		for _, file := range files {
			file.Close()
		}
	}()
	for _, name := range []string{FileName, OldName} { // in this order nothing is missed when they move on meanwhile
		file, err := os.Open(filepath.Join(folder, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return 0, fmt.Errorf("read the audit: %w", err)
		}
		files = append(files, file)
	}
	if len(files) == 2 {
		a, aerr := files[0].Stat()
		b, berr := files[1].Stat()
		if aerr == nil && berr == nil && os.SameFile(a, b) {
			files[1].Close()
			files = files[:1]
		}
	}
	for i := len(files) - 1; i >= 0; i-- {
		n, err := readFile(files[i], f)
		if bad += n; err != nil {
			return bad, err
		}
	}
	return bad, nil
}

func readFile(file io.Reader, f func(*Entry) error) (bad int, err error) {
	in := bufio.NewReaderSize(file, maxLine)
	for {
		line, err := in.ReadSlice('\n')
		for err == bufio.ErrBufferFull { // too long for one of ours
			line = nil
			_, err = in.ReadSlice('\n')
		}
		if err == io.EOF {
			return bad, nil // what has no end yet is still being written
		}
		if err != nil {
			return bad, fmt.Errorf("read the audit: %w", err)
		}
		var e Entry
		if json.Unmarshal(line, &e) != nil || e.Action == "" {
			bad++
			continue
		}
		if err := f(&e); err != nil {
			return bad, err
		}
	}
}
