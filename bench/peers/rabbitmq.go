package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

const rabbitProgram = "/usr/lib/rabbitmq/bin/rabbitmq-server" // what /usr/sbin has insists on Debian's folders

func rabbitSetting() *setting {
	return &setting{about: about{Name: "RabbitMQ, quorum queue", Peer: "RabbitMQ", Client: "amqp091-go, with confirms",
		Version: packageVersion("rabbitmq-server"), Set: "x-queue-type quorum, one node",
		Stored: "all of it: a confirm comes after the sync of its write-ahead log", Synced: true,
		Kept: "published to another queue with a confirm, then the ack: two steps"}, depth: 2048,
		start: startRabbit, prepare: prepareRabbit, dial: dialRabbit, slowStart: 9 * time.Second}
}

func startRabbit(_ *env, dir string) (*server, error) {
	r := &server{addr: freeAddr()}
	epmd := port(freeAddr())
	plugins, conf := filepath.Join(dir, "enabled_plugins"), filepath.Join(dir, "rabbitmq.conf")
	if err := os.WriteFile(plugins, []byte("[].\n"), 0o600); err != nil {
		return nil, err
	}
	if err := os.WriteFile(conf, []byte("log.console.level = error\n"), 0o600); err != nil {
		return nil, err
	}
	env := []string{"HOME=" + dir, "ERL_EPMD_PORT=" + epmd, "ERL_EPMD_ADDRESS=127.0.0.1"}
	if err := r.run(dir, env, "epmd", "-address", "127.0.0.1", "-port", epmd); err != nil {
		return nil, err
	}
	err := r.run(dir, append(env, "RABBITMQ_NODENAME=peers@localhost", "RABBITMQ_NODE_PORT="+port(r.addr),
		"RABBITMQ_NODE_IP_ADDRESS=127.0.0.1", "RABBITMQ_DIST_PORT="+port(freeAddr()), "RABBITMQ_MNESIA_BASE="+dir,
		"RABBITMQ_LOGS=-", "RABBITMQ_ENABLED_PLUGINS_FILE="+plugins, "RABBITMQ_CONFIG_FILE="+conf,
		"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=-kernel inet_dist_use_interface {127,0,0,1}"), rabbitProgram)
	if err != nil {
		r.kill()
		return nil, err
	}
	return r, nil
}

func prepareRabbit(ctx context.Context, s *server) error {
	k, err := dialRabbit(ctx, s, queue, false)
	if err != nil {
		return err
	}
	defer k.Close()
	for _, q := range queues {
		if _, err := k.(*rabbit).ch.QueueDeclare(q, true, false, false, false,
			amqp.Table{"x-queue-type": "quorum"}); err != nil {
			return err
		}
	}
	return nil
}

type rabbit struct {
	nc         *amqp.Connection
	ch         *amqp.Channel
	queue      string
	deliveries <-chan amqp.Delivery // made by the first turn
}

func dialRabbit(_ context.Context, s *server, queue string, _ bool) (conn, error) {
	nc, err := amqp.Dial("amqp://guest:guest@" + s.addr + "/")
	if err != nil {
		return nil, err
	}
	ch, err := nc.Channel()
	if err == nil {
		err = ch.Confirm(false)
	}
	if err != nil {
		nc.Close()
		return nil, err
	}
	return &rabbit{nc: nc, ch: ch, queue: queue}, nil
}

func (r *rabbit) publish(ctx context.Context, queue string, n int, body func(int) []byte) error {
	confirms := make([]*amqp.DeferredConfirmation, n)
	for i := range confirms {
		var err error
		confirms[i], err = r.ch.PublishWithDeferredConfirmWithContext(ctx, "", queue, false, false,
			amqp.Publishing{DeliveryMode: amqp.Persistent, Body: body(i)})
		if err != nil {
			return err
		}
	}
	for _, c := range confirms {
		if ok, err := c.WaitContext(ctx); !ok {
			return fmt.Errorf("a publish was not confirmed: %w", err)
		}
	}
	return nil
}

func (r *rabbit) Put(ctx context.Context, bodies [][]byte) error {
	return r.publish(ctx, r.queue, len(bodies), func(i int) []byte { return bodies[i] })
}

func (r *rabbit) Turn(ctx context.Context, max int, result bool) (int, error) {
	if r.deliveries == nil {
		prefetch := 2 * max // the next batch is on its way while one is ended
		if max == 1 {
			prefetch = 1
		}
		err := r.ch.Qos(prefetch, 0, false)
		if err == nil {
			r.deliveries, err = r.ch.Consume(r.queue, "", false, false, false, false, nil)
		}
		if err != nil {
			return 0, err
		}
	}
	var last amqp.Delivery
	n := 0
	wait := time.NewTimer(moment)
	defer wait.Stop()
take:
	for n < max {
		select {
		case d, ok := <-r.deliveries:
			if !ok {
				return 0, fmt.Errorf("the channel is closed")
			}
			last = d
			n++
			if n == 1 {
				wait.Reset(5 * time.Millisecond) // the others are on their way, or there are none
			}
		case <-wait.C:
			break take
		}
	}
	if n == 0 {
		return 0, nil
	}
	if result {
		if err := r.publish(ctx, results, n, func(int) []byte { return []byte(answer) }); err != nil {
			return 0, err
		}
	}
	return n, last.Ack(true)
}

// Close gives the server five seconds to say that it has heard: now and then it never does.
func (r *rabbit) Close() { r.nc.CloseDeadline(time.Now().Add(5 * time.Second)) }
