package client

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/glassq/glassq"
)

var _ glassq.Copier = (*Client)(nil)

// Copy passes on the files of a copy of the server's store, see [glassq.Copier]. It is not tried again when
// the connection breaks.
func (c *Client) Copy(ctx context.Context, file func(name string, size int64, r io.Reader) error) error {
	ctx, done, err := c.begin(ctx)
	if err != nil {
		return err
	}
	defer done()
	r, err := http.NewRequestWithContext(ctx, "POST", c.base+"/v1/backup", nil)
	if err != nil {
		return glassq.Errorf(glassq.CodeBadRequest, "make request: %w", err)
	}
	if c.opt.Key != "" {
		r.Header.Set("Authorization", "Bearer "+c.opt.Key)
	}
	resp, err := c.http.Do(r)
	if err != nil {
		return c.orClosed(ctx, glassq.Errorf(glassq.CodeUnavailable, "reach %s: %w", c.base, unwrapURL(err)))
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		body, err := readAnswer(resp)
		if err != nil {
			return glassq.Errorf(glassq.CodeUnavailable, "reach %s: %w", c.base, err)
		}
		return refusal(resp, body)
	}
	in := tar.NewReader(resp.Body)
	for {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = file(h.Name, h.Size, &brokenOff{in})
		}
		if err != nil {
			return c.orClosed(ctx, cutShort(err))
		}
	}
}

// A brokenOff reader tells errors of the connection from those of who reads.
type brokenOff struct{ r io.Reader }

func (b *brokenOff) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if err != nil && err != io.EOF {
		err = cutShort(err)
	}
	return n, err
}

// cutShort gives an end of the connection the code by which others know it.
func cutShort(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) && glassq.CodeOf(err) == glassq.CodeInternal {
		return glassq.Errorf(glassq.CodeUnavailable, "the server broke off: %w", err)
	}
	return fmt.Errorf("copy: %w", err)
}
