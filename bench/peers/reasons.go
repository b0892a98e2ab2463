package main

// why is the reason for which a peer may be ahead in a work: by work and peer, or by peer alone.
var why = map[string]string{
	"pipelined/NSQ":          "a batch is one command, and its messages are kept in memory or appended without a record of their own.",
	"pipelined/PostgreSQL":   "COPY is one command and one commit for the 2,048 of a batch, without an answer for each.",
	"pipelined/River":        "COPY is one command and one commit for the 2,048 of a batch, without an answer for each.",
	"pipelined/Redis":        "one thread reads, appends and answers, without handing the commands to another one; XADD needs no room that is checked.",
	"put1/Redis":             "one client waits for each answer: Redis writes and answers in the thread that read the command, Glassq hands it to its committer and back.",
	"put1/beanstalkd":        "one client waits for each answer: beanstalkd writes and answers in the thread that read the command, Glassq hands it to its committer and back.",
	"put1/NSQ":               "one client waits for each answer, and the message stays in memory.",
	"put16/Redis":            "the processors are the bound: a command costs Redis less than it costs Glassq, whose put has options, books and a committer.",
	"put16/beanstalkd":       "the processors are the bound: a command costs beanstalkd less than it costs Glassq, whose put has options, books and a committer.",
	"put64/Redis":            "the processors are the bound: a command costs Redis less than it costs Glassq, whose put has options, books and a committer.",
	"put64/beanstalkd":       "the processors are the bound: a command costs beanstalkd less than it costs Glassq, whose put has options, books and a committer.",
	"take1/beanstalkd":       "a reserve and a delete are two short lines, and a lease is not written; the processors are the bound.",
	"take1/NSQ":              "messages are pushed to the consumers ahead of time, and FIN is not answered.",
	"take1/RabbitMQ":         "messages are pushed to the consumers ahead of time, and an ack is not answered.",
	"take1/River":            "jobs are fetched many at a time and completed many at a time, behind the handler.",
	"take100/NSQ":            "messages are pushed to the consumers ahead of time, and FIN is not answered.",
	"take100/RabbitMQ":       "messages are pushed to the consumers ahead of time, and one ack that is not answered ends a batch.",
	"take100/NATS JetStream": "a batch is one request, and only its last ack is answered; acks are not synced.",
	"take100/Redis":          "a batch is one command, and its acks are another; our memcached door takes and ends each task by a command of its own.",
	"done/NSQ":               "nothing of it is answered but the puts, and the first 10,000 messages stay in memory.",
	"done/Redis":             "a batch is one command, and its acks are another; our memcached door takes and ends each task by a command of its own.",
}

// whyLate is the reason where single puts are answered sooner.
const whyLate = "the answer is written in the thread that read the command; Glassq's passes through its committer, which gathers the puts of all connections."

// whyCheap is the reason where neither side waits for a disk.
const whyCheap = "the processors are the bound: a put costs it less than it costs Glassq, whose put has options, books and a committer."

// whyUnsaid is printed where nobody has found the reason yet.
const whyUnsaid = "not explained yet."

func reason(w work, r *row) string {
	if !r.Synced && r.Peer == "Python" {
		return "memory only."
	}
	if w.kind == latency {
		return whyLate
	}
	if text, ok := why[w.ID+"/"+r.Peer]; ok {
		return text
	}
	if w.kind == put && w.batch == 1 && !r.Synced {
		return whyCheap
	}
	return whyUnsaid
}
