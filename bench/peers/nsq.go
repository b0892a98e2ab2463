package main

import (
	"context"
	"errors"
	"io"
	"log"
	"time"

	"github.com/nsqio/go-nsq"
)

func nsqSetting(program string) *setting {
	return &setting{about: about{Name: "NSQ", Peer: "NSQ", Client: "go-nsq " + moduleVersion("github.com/nsqio/go-nsq"),
		Version: said(program, "--version"),
		Set:     "defaults: 10,000 messages of a topic and of a channel are in memory; max in flight is the batch",
		Stored:  "what is beyond the 10,000 in memory, every 2,500 messages or 2 s",
		Kept:    "published to another topic, then FIN, which is not answered: two steps"}, depth: 2048,
		dial: dialNSQ, drain: drainNSQ, start: func(_ *env, dir string) (*server, error) {
			r := &server{addr: freeAddr()}
			return r, r.run(dir, nil, program, "-data-path", dir, "-tcp-address", r.addr, "-http-address", freeAddr(),
				"-broadcast-address", "127.0.0.1", "-log-level", "error")
		}}
}

// unheard drops what go-nsq would print.
var unheard = log.New(io.Discard, "", 0)

type topic struct {
	p    *nsq.Producer
	name string
}

func dialNSQ(_ context.Context, s *server, queue string, _ bool) (conn, error) {
	p, err := nsq.NewProducer(s.addr, nsq.NewConfig())
	if err != nil {
		return nil, err
	}
	p.SetLogger(unheard, nsq.LogLevelMax)
	t := &topic{p, queue}
	if err := p.Ping(); err != nil {
		t.Close()
		return nil, err
	}
	return t, nil
}

func (t *topic) Put(_ context.Context, bodies [][]byte) error {
	if len(bodies) == 1 {
		return t.p.Publish(t.name, bodies[0])
	}
	return t.p.MultiPublish(t.name, bodies)
}

// Turn is never called: drain takes its place.
func (t *topic) Turn(context.Context, int, bool) (int, error) {
	panic("peers: NSQ hands tasks to a handler")
}

func (t *topic) Close() { t.p.Stop() }

func drainNSQ(ctx context.Context, s *server, queue string, conns, batch int, result bool, did func(int)) error {
	var all []*nsq.Consumer
	var errs []error
	var to *nsq.Producer
	if result {
		var err error
		if to, err = nsq.NewProducer(s.addr, nsq.NewConfig()); err != nil {
			return err
		}
		to.SetLogger(unheard, nsq.LogLevelMax)
		defer to.Stop()
	}
	for range conns {
		conf := nsq.NewConfig()
		conf.MaxInFlight = batch
		c, err := nsq.NewConsumer(queue, "w", conf)
		if err != nil {
			errs = append(errs, err)
			break
		}
		all = append(all, c)
		c.SetLogger(unheard, nsq.LogLevelMax)
		c.AddConcurrentHandlers(nsq.HandlerFunc(func(*nsq.Message) error {
			if result {
				if err := to.Publish(results, []byte(answer)); err != nil {
					return err
				}
			}
			did(1)
			return nil
		}), min(batch, 8))
		if err := c.ConnectToNSQD(s.addr); err != nil {
			errs = append(errs, err)
			break
		}
	}
	if len(errs) == 0 {
		<-ctx.Done()
	}
	for _, c := range all {
		c.Stop()
	}
	for _, c := range all {
		select {
		case <-c.StopChan:
		case <-time.After(5 * time.Second):
			errs = append(errs, errors.New("a consumer of NSQ does not stop"))
		}
	}
	return errors.Join(errs...)
}
