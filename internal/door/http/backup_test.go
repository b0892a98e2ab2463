package httpdoor

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/client"
	"github.com/glassq/glassq/internal/broker"
	"github.com/glassq/glassq/internal/disk"
)

// A torn store breaks its copies off in the middle of a file.
type torn struct{ glassq.Store }

func (torn) Copy(_ context.Context, file func(string, int64, io.Reader) error) error {
	if err := file("segment-0000000000000001.log", 1<<20, strings.NewReader(strings.Repeat("x", 1<<20))); err != nil {
		return err
	}
	if err := file("checkpoint-0000000000001000", 1<<20, strings.NewReader("short")); err != nil {
		return err
	}
	return errors.New("the disk went away")
}

func (torn) Archive(_ context.Context, w io.Writer) error {
	if _, err := w.Write(make([]byte, 1<<20)); err != nil {
		return err
	}
	return errors.New("the disk went away")
}

// TestBackupArchive: the same of an archive.
func TestBackupArchive(t *testing.T) {
	store := openStore(t)
	if _, err := store.Put(t.Context(), []glassq.Task{{Queue: "q", Body: []byte("one")}}); err != nil {
		t.Fatal(err)
	}
	receive := func(s glassq.Store) ([]byte, error) {
		hs := httptest.NewServer(New(broker.New(s, glassq.Limits{}), Options{}))
		t.Cleanup(hs.Close)
		c, err := client.New(hs.URL, client.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		var b bytes.Buffer
		err = c.Archive(t.Context(), &b)
		return b.Bytes(), err
	}
	b, err := receive(store)
	if err != nil {
		t.Fatal(err)
	}
	if c, err := disk.CheckArchive(bytes.NewReader(b)); err != nil || c.Tasks != 1 || c.Queues != 1 {
		t.Errorf("the archive holds %+v, %v; want the task", c, err)
	}
	if _, err := receive(torn{store}); glassq.CodeOf(err) != glassq.CodeUnavailable {
		t.Errorf("an archive that breaks off = %v; want code unavailable", err)
	}
	if _, err := receive(struct{ glassq.Store }{store}); glassq.CodeOf(err) != glassq.CodeUnsupported {
		t.Errorf("an archive of a store that has none = %v; want code unsupported", err)
	}
}

// TestBackup: a copy over HTTP holds what was put; one that breaks off is never taken for whole,
// and a store that has no copies says so.
func TestBackup(t *testing.T) {
	store := openStore(t)
	if _, err := store.Put(t.Context(), []glassq.Task{{Queue: "q", Body: []byte("one")},
		{Queue: "q", Body: []byte("two")}}); err != nil {
		t.Fatal(err)
	}
	receive := func(s glassq.Store) (string, disk.Copied, error) {
		hs := httptest.NewServer(New(broker.New(s, glassq.Limits{}), Options{}))
		t.Cleanup(hs.Close)
		c, err := client.New(hs.URL, client.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		dir := filepath.Join(t.TempDir(), "copy")
		copied, err := disk.Receive(dir, func(file func(string, int64, io.Reader) error) error {
			return c.Copy(t.Context(),
				file)
		})
		return dir, copied, err
	}
	dir, copied, err := receive(store)
	if err != nil || copied.Tasks != 2 || copied.Queues != 1 {
		t.Fatalf("copy of two tasks = %+v, %v", copied, err)
	}
	e, err := disk.Open(dir, disk.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	leases, err := e.Reserve(t.Context(), glassq.Reserve{Queue: "q", Max: 10})
	if err != nil || len(leases) != 2 || string(leases[0].Body) != "one" {
		t.Errorf("the copy hands out %d tasks, %v; want both, in order", len(leases), err)
	}
	if _, copied, err := receive(torn{store}); glassq.CodeOf(err) != glassq.CodeUnavailable {
		t.Errorf("a copy that breaks off = %+v, %v; want code unavailable", copied, err)
	}
	if _, copied, err := receive(struct{ glassq.Store }{store}); glassq.CodeOf(err) != glassq.CodeUnsupported {
		t.Errorf("a copy of a store that has none = %+v, %v; want code unsupported", copied, err)
	}
}
