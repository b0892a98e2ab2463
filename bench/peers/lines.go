package main

import (
	"strings"
	"time"
)

// The settings whose servers speak lines: Glassq itself, Redis, beanstalkd.

func glassqSetting(e *env, program, sync string) *setting {
	s := &setting{about: about{Name: "Glassq, " + sync, Peer: "Glassq", Client: "raw socket, memcached door",
		Set: "--sync " + sync, Stored: "all of it: one sync is shared by all that wait", Synced: true,
		Kept: "in the commit of the ack (cas)"}, depth: 2048, dial: dialMemcache}
	if sync == "interval" {
		s.Stored, s.Synced = "what is older than the last sync, 100 ms at most", false
	}
	s.Version = revision()
	s.start = func(e *env, dir string) (*server, error) {
		r := &server{addr: freeAddr()}
		return r, r.run(dir, nil, program, "serve", "--data", dir, "--sync", sync, "--http", "off", "--manager", "off",
			"--memcached", r.addr)
	}
	return s
}

func redisServer(policy string) func(*env, string) (*server, error) {
	return func(_ *env, dir string) (*server, error) {
		r := &server{addr: freeAddr()}
		return r, r.run(dir, nil, "redis-server", "--bind", "127.0.0.1", "--port", port(r.addr), "--dir", dir,
			"--appendonly", "yes", "--appendfsync", policy, "--save", "", "--loglevel", "warning")
	}
}

func redisSetting(policy string) *setting {
	s := &setting{about: about{Name: "Redis streams, " + policy, Peer: "Redis", Client: "raw socket",
		Version: said("redis-server", "--version"), Set: "appendonly yes, appendfsync " + policy + ", save \"\"",
		Stored: "all of it", Synced: true, Kept: "XADD in the transaction of XACK and XDEL"}, depth: 2048,
		dial: dialStream, prepare: prepareStreams, start: redisServer(policy)}
	if policy == "everysec" {
		s.Stored, s.Synced = "what is older than a second, two at most", false
	}
	return s
}

func beanstalkSetting(name string, args ...string) *setting {
	s := &setting{about: about{Name: "beanstalkd, " + name, Peer: "beanstalkd", Client: "raw socket",
		Version: said("beanstalkd", "-v"), Set: "-b DIR " + strings.Join(args, " "),
		Stored: "what is older than 50 ms", Kept: "put into another tube, then delete: two steps"}, depth: 2048,
		dial: dialBeanstalk}
	if len(args) > 0 {
		s.Stored, s.Synced = "all of it: one sync each", true
	}
	s.start = func(_ *env, dir string) (*server, error) {
		r := &server{addr: freeAddr()}
		return r, r.run(dir, nil, "beanstalkd", append([]string{"-l", "127.0.0.1", "-p", port(r.addr), "-b", dir},
			args...)...)
	}
	return s
}

// pythonSetting is a manager of Python's own: its queues are memory, and each call is a round trip.
func pythonSetting() *setting {
	return &setting{about: about{Name: "Python manager", Peer: "Python", Client: "Python's own, one process a connection",
		Version: said("python3", "--version"), Set: "BaseManager with queue.Queue; not measured with 64 connections, each of which is a process",
		Stored: "nothing: memory only", Kept: "put into another queue, after the get: two steps"}, depth: 100, stride: 50,
		dial: dialPython, start: func(_ *env, dir string) (*server, error) {
			r := &server{addr: freeAddr()}
			return r, r.run(dir, []string{"PYTHONDONTWRITEBYTECODE=1"}, "python3", "-c", pythonServer, port(r.addr))
		}, slowStart: 4 * time.Second, atMost: 16}
}
