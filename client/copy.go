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

var (
	_ glassq.Copier   = (*Client)(nil)
	_ glassq.Archiver = (*Client)(nil)
)

// Copy passes on the files of a copy of the server's store, see [glassq.Copier]. It is not tried
// again when the connection breaks.
func (c *Client) Copy(ctx context.Context, file func(name string, size int64, r io.Reader) error) error {
	return c.backup(ctx, "", func(body io.Reader) error {
		in := tar.NewReader(body)
		for {
			h, err := in.Next()
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err == nil {
				err = file(h.Name, h.Size, &brokenOff{in})
			}
			if err != nil {
				return cutShort(err)
			}
		}
	})
}

// Archive writes an archive of the server's store, see [glassq.Archiver]. It is not tried again
// when the connection breaks: what was written then is no archive.
func (c *Client) Archive(ctx context.Context, w io.Writer) error {
	return c.backup(ctx, "?form=archive", func(body io.Reader) error {
		_, err := io.Copy(w, &brokenOff{body})
		return err
	})
}

// backup calls read with what the server sends.
func (c *Client) backup(ctx context.Context, query string, read func(io.Reader) error) error {
	ctx, done, err := c.begin(ctx)
	if err != nil {
		return err
	}
	defer done()
	r, err := http.NewRequestWithContext(ctx, "POST", c.base+"/v1/backup"+query, nil)
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
	if err := read(resp.Body); err != nil {
		return c.orClosed(ctx, err)
	}
	return nil
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
