package jetstream

import (
	"bytes"
	"context"
	"errors"
	"strconv"

	"github.com/glassq/glassq/internal/cluster"
	"github.com/nats-io/nats.go"
)

// Hints are a key-value bucket of NATS. It is read from its leader: another server may not know yet
// that there is a store.
type hints Ground

func (h *hints) Get(ctx context.Context, key string) ([]byte, uint64, error) {
	msg, err := (*Ground)(h).read(ctx, h.at.hintStream(), wanted{Last: h.at.hintSubject() + key})
	switch err = h.hinted.seen(h.at.hintStream(), err); {
	case errors.Is(err, cluster.ErrNoMessage):
		return nil, 0, nil
	case err != nil:
		return nil, 0, err
	case bytes.Contains(msg.Hdrs, []byte("KV-Operation")): // somebody deleted it
		return nil, msg.Seq, nil
	}
	return msg.Data, msg.Seq, nil
}

func (h *hints) Set(ctx context.Context, key string, value []byte, revision uint64) (uint64, error) {
	return (*Ground)(h).store(ctx, &nats.Msg{Subject: h.at.hintSubject() + key, Data: value,
		Header: nats.Header{"Nats-Expected-Last-Subject-Sequence": {strconv.FormatUint(revision, 10)}}})
}
