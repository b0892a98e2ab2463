package jetstream

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"

	"github.com/glassq/glassq/internal/cluster"
	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
)

const (
	chunkSize = 256 << 10
	digestIs  = "SHA-256="
)

// A bucket is an object bucket of NATS, so that its tools show it. It is read from its leader and
// without consumers, which follow whichever server they are at; nothing is left of what is deleted.
type bucket Ground

func (b *bucket) metaOf(name string) string {
	return b.at.metaSubject() + base64.URLEncoding.EncodeToString([]byte(name))
}

func (b *bucket) Put(ctx context.Context, name string, r io.Reader) (err error) {
	g := (*Ground)(b)
	old, oldErr := b.object(ctx, name)
	if oldErr != nil && !errors.Is(oldErr, cluster.ErrNoMessage) {
		return oldErr
	}
	is := natsjs.ObjectInfo{ObjectMeta: natsjs.ObjectMeta{Name: name}, Bucket: b.at.hintBucket(), NUID: nuid.Next(),
		ModTime: time.Now().UTC()}
	chunks := b.at.chunkSubject() + is.NUID
	defer func() {
		if err != nil { // chunks without a name are rubbish; what cannot be removed now costs room only
			b.purge(context.WithoutCancel(ctx), chunks)
		}
	}()
	sum, buf := sha256.New(), make([]byte, min(chunkSize, b.most))
	for {
		n, readErr := io.ReadFull(r, buf)
		if n > 0 {
			sum.Write(buf[:n])
			if _, err := g.store(ctx, &nats.Msg{Subject: chunks, Data: buf[:n]}); err != nil {
				return err
			}
			is.Chunks, is.Size = is.Chunks+1, is.Size+uint64(n)
		}
		if readErr == io.EOF || readErr == io.ErrUnexpectedEOF {
			break
		}
		if readErr != nil {
			return readErr
		}
	}
	is.Digest = digestIs + base64.URLEncoding.EncodeToString(sum.Sum(nil))
	text, err := json.Marshal(is)
	if err != nil {
		return err
	}
	if _, err := g.store(ctx, &nats.Msg{Subject: b.metaOf(name), Data: text, Header: nats.Header{"Nats-Rollup": {"sub"}}}); err != nil {
		return err
	}
	if oldErr == nil {
		return b.purge(ctx, b.at.chunkSubject()+old.NUID)
	}
	return nil
}

// object reads what the bucket says of an object.
func (b *bucket) object(ctx context.Context, name string) (is natsjs.ObjectInfo, err error) {
	msg, err := (*Ground)(b).read(ctx, b.at.stateStream(), wanted{Last: b.metaOf(name)})
	if err != nil {
		return is, fmt.Errorf("object %s: %w", name, err)
	}
	if err := json.Unmarshal(msg.Data, &is); err != nil {
		return is, fmt.Errorf("object %s: %w", name, err)
	}
	if is.Deleted {
		return is, fmt.Errorf("object %s: %w", name, cluster.ErrNoMessage)
	}
	return is, nil
}

func (b *bucket) Get(ctx context.Context, name string) (io.ReadCloser, error) {
	is, err := b.object(ctx, name)
	if err != nil {
		return nil, err
	}
	return &objectReader{b: b, ctx: ctx, is: is, sum: sha256.New()}, nil
}

// An objectReader reads the chunks of an object, one after the other.
type objectReader struct {
	b     *bucket
	ctx   context.Context // of Get: what it returns is read under it
	is    natsjs.ObjectInfo
	sum   hash.Hash
	after uint64 // number of the last chunk
	chunk uint32 // chunks read
	size  uint64
	rest  []byte
}

func (r *objectReader) Read(p []byte) (int, error) {
	for len(r.rest) == 0 {
		if r.chunk == r.is.Chunks {
			if r.size != r.is.Size || digestIs+base64.URLEncoding.EncodeToString(r.sum.Sum(nil)) != r.is.Digest {
				return 0, fmt.Errorf("object %s is not what was stored: its digest is another one", r.is.Name)
			}
			return 0, io.EOF
		}
		msg, err := (*Ground)(r.b).read(r.ctx, r.b.at.stateStream(),
			wanted{Seq: r.after + 1, Next: r.b.at.chunkSubject() + r.is.NUID})
		if err != nil {
			return 0, fmt.Errorf("chunk %d of object %s: %w", r.chunk+1, r.is.Name, err)
		}
		r.sum.Write(msg.Data)
		r.after, r.chunk, r.size, r.rest = msg.Seq, r.chunk+1, r.size+uint64(len(msg.Data)), msg.Data
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

func (r *objectReader) Close() error { return nil }

func (b *bucket) Names(ctx context.Context) ([]string, error) {
	is, err := (*Ground)(b).info(ctx, b.at.stateStream(), b.at.metaSubject()+">")
	if err != nil {
		return nil, err
	}
	var names []string
	for subject := range is.State.Subjects {
		if name, err := base64.URLEncoding.DecodeString(subject[len(b.at.metaSubject()):]); err == nil {
			names = append(names, string(name))
		}
	}
	return names, nil
}

func (b *bucket) Delete(ctx context.Context, name string) error {
	is, err := b.object(ctx, name)
	if errors.Is(err, cluster.ErrNoMessage) {
		return nil
	}
	if err == nil {
		err = b.purge(ctx, b.metaOf(name))
	}
	if err == nil {
		err = b.purge(ctx, b.at.chunkSubject()+is.NUID)
	}
	return err
}

// purge removes all messages of a subject.
func (b *bucket) purge(ctx context.Context, subject string) error {
	return (*Ground)(b).api(ctx, "STREAM.PURGE."+b.at.stateStream(), map[string]string{"filter": subject}, nil)
}
