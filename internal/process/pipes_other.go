//go:build !linux

package process

import "os"

// outPipe is a pipe for what a child writes.
func outPipe() (ours, theirs *os.File, err error) { return os.Pipe() }

// filledPipe is the reading end of a pipe that has body in it, which is at most smallBody, and no
// writer.
func filledPipe(body []byte) (*os.File, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	_, err = w.Write(body)
	w.Close()
	if err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}
