package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

func natsSetting(program, sync string) *setting {
	s := &setting{about: about{Name: "NATS JetStream, default", Peer: "NATS JetStream", Client: "nats.go, package jetstream",
		Version: said(program, "--version"), Set: "file storage, work-queue retention",
		Stored: "what is older than 2 minutes", Kept: "published to another stream, then the ack: two steps"}, depth: 2048,
		dial: dialNATS, prepare: prepareNATS, slowStart: time.Second}
	if sync != "" {
		s.Name, s.Stored, s.Synced = "NATS JetStream, sync always", "all of it: one sync each", true
		s.Set += ", sync_interval: " + sync
	}
	s.start = func(_ *env, dir string) (*server, error) {
		conf := filepath.Join(dir, "nats.conf")
		text := fmt.Sprintf("jetstream {\n store_dir: %q\n", dir)
		if sync != "" {
			text += " sync_interval: " + sync + "\n"
		}
		if err := os.WriteFile(conf, []byte(text+"}\n"), 0o600); err != nil {
			return nil, err
		}
		r := &server{addr: freeAddr()}
		return r, r.run(dir, nil, program, "-a", "127.0.0.1", "-p", port(r.addr), "-c", conf)
	}
	return s
}

func prepareNATS(ctx context.Context, s *server) error {
	nc, js, err := natsConn(s)
	if err != nil {
		return err
	}
	defer nc.Close()
	for _, q := range queues {
		if _, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: q, Subjects: []string{q},
			Storage: jetstream.FileStorage, Retention: jetstream.WorkQueuePolicy}); err != nil {
			return err
		}
		if _, err := js.CreateConsumer(ctx, q, jetstream.ConsumerConfig{Durable: "w",
			AckPolicy: jetstream.AckExplicitPolicy, MaxAckPending: 100_000}); err != nil {
			return err
		}
	}
	return nil
}

func natsConn(s *server) (*nats.Conn, jetstream.JetStream, error) {
	nc, err := nats.Connect("nats://"+s.addr, nats.NoReconnect())
	if err != nil {
		return nil, nil, err
	}
	js, err := jetstream.New(nc, jetstream.WithPublishAsyncMaxPending(1<<14))
	return nc, js, err
}

type natsQueue struct {
	nc       *nats.Conn
	js       jetstream.JetStream
	queue    string
	consumer jetstream.Consumer // made by the first turn
}

func dialNATS(ctx context.Context, s *server, queue string, _ bool) (conn, error) {
	nc, js, err := natsConn(s)
	if err != nil {
		return nil, err
	}
	// JetStream is there a little later than the server.
	short, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if _, err := js.AccountInfo(short); err != nil {
		nc.Close()
		return nil, err
	}
	return &natsQueue{nc: nc, js: js, queue: queue}, nil
}

func (n *natsQueue) publish(ctx context.Context, subject string, bodies [][]byte) error {
	if len(bodies) == 1 {
		_, err := n.js.Publish(ctx, subject, bodies[0])
		return err
	}
	acks := make([]jetstream.PubAckFuture, len(bodies))
	for i, b := range bodies {
		var err error
		if acks[i], err = n.js.PublishAsync(subject, b); err != nil {
			return err
		}
	}
	for _, a := range acks {
		select {
		case <-a.Ok():
		case err := <-a.Err():
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (n *natsQueue) Put(ctx context.Context, bodies [][]byte) error {
	return n.publish(ctx, n.queue, bodies)
}

func (n *natsQueue) Turn(ctx context.Context, max int, result bool) (int, error) {
	if n.consumer == nil {
		var err error
		if n.consumer, err = n.js.Consumer(ctx, n.queue, "w"); err != nil {
			return 0, err
		}
	}
	batch, err := n.consumer.Fetch(max, jetstream.FetchMaxWait(moment))
	if err != nil {
		return 0, err
	}
	var got []jetstream.Msg
	for m := range batch.Messages() {
		got = append(got, m)
	}
	if len(got) == 0 {
		return 0, nil // an error here is that there was none in time
	}
	if result {
		bodies := make([][]byte, len(got))
		for i := range bodies {
			bodies[i] = []byte(answer)
		}
		if err := n.publish(ctx, results, bodies); err != nil {
			return 0, err
		}
	}
	// The answer to the last one comes after all before it were seen.
	for _, m := range got[:len(got)-1] {
		if err := m.Ack(); err != nil {
			return 0, err
		}
	}
	return len(got), got[len(got)-1].DoubleAck(ctx)
}

func (n *natsQueue) Close() { n.nc.Close() }
