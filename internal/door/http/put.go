package httpdoor

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/door"
	"github.com/glassq/glassq/internal/envelope"
)

// put stores tasks. The body is NDJSON of envelopes, a JSON envelope or array of them, or, with any
// other content type, the body of one task whose options are query parameters. What it stores it
// stores as a whole.
//
// The answer is a receipt for each task; with answer=count or ranges one line for all, see putCount, and
// with answer=errors a batch that is stored is answered for what has a warning only. With wait a put
// into a full queue is parked until there is room; a client that goes away meanwhile has put
// nothing. With import it is audited.
func (s *call) put(rw http.ResponseWriter, r *http.Request) error {
	body, done, err := s.readBody(rw, r, maxRequest)
	if err != nil {
		return err
	}
	defer done()
	queue := r.PathValue("queue")
	media := mediaType(r)
	words := []string{"answer", "wait", "import"}
	envelopes := isNDJSON(media) || media == typeJSON
	if !envelopes {
		words = append(words, "id", "run", "n", "priority", "delay", "ttl", "attempts", "lease", "result", "key", "cost")
	}
	q := parseQuery(r, words...)
	wait, imported, told := q.duration("wait"), q.flag("import"), q.oneOf("answer", "each", "count", "errors", "ranges")
	if imported && wait > 0 {
		q.fail("import=true and wait: an import does not wait; leave one out")
	}
	if q.err != nil {
		return q.err
	}
	b := batches.Get().(*batch)
	defer b.release()
	many := false
	if envelopes {
		single, err := b.split(media, body)
		if err != nil {
			return err
		}
		many = !single
		if err := b.parse(queue, many); err != nil {
			return err
		}
	} else {
		t, err := rawTask(queue, media, r, q, body)
		if err != nil {
			return err
		}
		b.tasks = append(b.tasks, t)
	}
	tasks := b.tasks
	if len(tasks) == 0 {
		return glassq.Errorf(glassq.CodeBadRequest, "no tasks in the body")
	}
	traceTasks(tasks, r.Header.Get(glassq.TraceHeader))
	var receipts []glassq.Receipt
	if imported {
		receipts, err = s.store.Import(r.Context(), queue, tasks)
	} else {
		receipts, err = s.store.Put(r.Context(), tasks)
	}
	if wait > 0 && door.WorthWaiting(err) {
		receipts, err = s.putWait(r.Context(), tasks, min(wait, maxPoll), int64(len(body)), done, err)
	}
	if err != nil {
		return err
	}
	if told == "count" || told == "ranges" {
		sendCount(rw, receipts, told == "ranges")
		return nil
	}
	var out []byte
	for i := range tasks {
		if told == "errors" && many && receipts[i].Warning == "" {
			continue
		}
		out = append(envelope.AppendReceipt(out, tasks[i].TaskID(), receipts[i]), '\n')
	}
	contentType := typeJSON
	if many {
		contentType = typeNDJSON
	}
	send(rw, http.StatusOK, contentType, out)
	return nil
}

// maxTrace is the longest header traceparent that is taken. Version 00 has 55 bytes; later ones may
// be longer.
const maxTrace = 200

// traceTasks gives tasks without a trace of their own that of the request. One that cannot be one
// is left out, as the recommendation says.
func traceTasks(tasks []glassq.Task, trace string) {
	odd := func(c rune) bool { return c <= ' ' || c > '~' }
	if trace == "" || len(trace) > maxTrace || strings.ContainsFunc(trace, odd) {
		return
	}
	var shared map[string]string
	for i := range tasks {
		t := &tasks[i]
		switch {
		case t.Headers == nil:
			if shared == nil {
				shared = map[string]string{glassq.TraceHeader: trace}
			}
			t.Headers = shared
		case t.Headers[glassq.TraceHeader] == "":
			t.Headers[glassq.TraceHeader] = trace
		}
	}
}

// putWait is a put that waits for room, after one that was refused as full. done gives back what the
// request takes of the bodies in flight.
func (s *call) putWait(ctx context.Context, tasks []glassq.Task, wait time.Duration, size int64,
	done func(), full error) (receipts []glassq.Receipt, err error) {
	if !s.frame.Parked.TryTake(size) {
		return nil, glassq.Errorf(glassq.CodeQueueFull, "the queue is full, and too many large puts wait for room already; try again later")
	}
	defer s.frame.Parked.Give(size)
	done()
	over, err := s.wait(ctx, true, func(ctx context.Context) (err error) {
		receipts, err = s.store.PutWait(ctx, tasks, wait)
		return err
	})
	if over {
		return nil, full
	}
	return receipts, err
}

// A batch is the tasks of one put while it is parsed and stored. A store keeps nothing of them, so
// batches are used again: to clear the memory of thousands of tasks takes longer than to read them.
type batch struct {
	records
	tasks []glassq.Task
}

var batches = sync.Pool{New: func() any { return new(batch) }}

func (b *batch) release() {
	clear(b.records)
	clear(b.tasks)
	b.records, b.tasks = b.records[:0], b.tasks[:0]
	batches.Put(b)
}

// parse reads the records as envelopes and bounds their bodies.
func (b *batch) parse(queue string, many bool) error {
	b.tasks = slices.Grow(b.tasks, len(b.records))[:len(b.records)]
	bodies := 0
	for i, rec := range b.records {
		t := &b.tasks[i]
		if i > 0 { // strings that repeat are shared
			prev := &b.tasks[i-1]
			t.Run, t.Type, t.ResultQueue, t.Key = prev.Run, prev.Type, prev.ResultQueue, prev.Key
		}
		err := envelope.ParseTask(rec.text, t)
		switch {
		case err != nil:
		case t.Queue != "" && t.Queue != queue:
			err = glassq.Errorf(glassq.CodeBadRequest, "the task names queue %.60q, the address %.60q", t.Queue, queue)
		}
		if err != nil {
			if many {
				err = inLine(err, rec.line)
			}
			return err
		}
		t.Queue = queue
		if bodies += len(t.Body); bodies > glassq.MaxPutBytes {
			return tooLarge(maxRequest)
		}
	}
	return nil
}

const typeForm = "application/x-www-form-urlencoded"

// notLabelled refuses JSON objects and arrays that curl -d labelled as a form: they were meant as
// tasks.
func notLabelled(media string, body []byte) error {
	if media != typeForm {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(body))
	for some := false; ; some = true {
		var v json.RawMessage
		if err := d.Decode(&v); err != nil && (err != io.EOF || !some) || err == nil && v[0] != '{' && v[0] != '[' {
			return nil
		} else if err == io.EOF {
			break
		}
	}
	return glassq.Errorf(glassq.CodeBadRequest, "the body is JSON, but its header is Content-Type: "+typeForm+", as curl -d says; "+
		"send Content-Type: application/json for a task with options (curl --json), application/x-ndjson for one a line, or text/plain for the text as it is")
}

// rawTask makes a task whose body is the request's. A body that curl -d sends is text.
func rawTask(queue, media string, r *http.Request, q *query, body []byte) (glassq.Task, error) {
	if err := notLabelled(media, body); err != nil {
		return glassq.Task{}, err
	}
	t := glassq.Task{
		Queue:       queue,
		Body:        body,
		Type:        r.Header.Get("Content-Type"),
		Run:         q.text("run"),
		ID:          q.text("id"),
		Delay:       q.duration("delay"),
		TTL:         q.duration("ttl"),
		Attempts:    int(q.number("attempts", 0, glassq.MaxAttempts)),
		Lease:       q.duration("lease"),
		ResultQueue: q.text("result"),
		Key:         q.text("key"),
		Cost:        uint32(q.atLeast1("cost", 1, glassq.MaxCost)),
	}
	switch media {
	case typeForm:
		if t.Type = glassq.TypeText; !utf8.Valid(body) {
			t.Type = glassq.TypeOctets
		}
	case "text/plain":
		t.Type = glassq.TypeText
	}
	if q.has("priority") {
		t.Priority = glassq.Level(int(q.number("priority", 4, 9)))
	}
	if q.has("n") {
		t.Position, t.Dense = uint32(q.number("n", 0, 1<<32-1)), true
		if t.Run == "" {
			q.fail("n needs a run")
		}
		if t.ID != "" && t.ID != glassq.DenseID(t.Run, t.Position) {
			q.fail("with run and n the id is %q, not %q", glassq.DenseID(t.Run, t.Position), t.ID)
		}
		t.ID = ""
	}
	return t, q.err
}

// A putCount answers a put with answer=count: enough to rebuild every receipt from one line. Unless
// Numbers is there, the tasks that are not duplicates have the numbers from First on, in order.
type putCount struct {
	Put          int      `json:"put"`
	Duplicates   int      `json:"duplicates"`
	First        uint64   `json:"first,omitempty"`
	DuplicatesAt []int    `json:"duplicates_at,omitempty"` // indexes from 0
	Numbers      []uint64 `json:"numbers,omitempty"`       // of all tasks, 0 for duplicates

	// Ranges says of each range of which some was put how much that was. It is there with
	// answer=ranges, which a server that knows no ranges refuses.
	Ranges []putRange `json:"ranges,omitempty"`

	Warnings []putWarning `json:"warnings,omitempty"` // the first maxWarnings
}

// A putRange is how many positions of one range were put.
type putRange struct {
	At  int    `json:"at"` // index from 0
	Put uint64 `json:"put"`
}

// A putWarning is the warning of one task of several.
type putWarning struct {
	At      int    `json:"at"` // index from 0
	Warning string `json:"warning"`
}

const maxWarnings = 10

func sendCount(rw http.ResponseWriter, receipts []glassq.Receipt, ranges bool) {
	var c putCount
	consecutive := true
	for i, r := range receipts {
		if r.Warning != "" && len(c.Warnings) < maxWarnings {
			c.Warnings = append(c.Warnings, putWarning{i, r.Warning})
		}
		if r.Duplicate {
			c.Duplicates++
			c.DuplicatesAt = append(c.DuplicatesAt, i)
			continue
		}
		if ranges && r.Put > 0 {
			c.Ranges = append(c.Ranges, putRange{i, r.Put})
		}
		if c.Put == 0 {
			c.First = r.Number
		}
		consecutive = consecutive && r.Number == c.First+uint64(c.Put)
		c.Put++
	}
	if !consecutive {
		c.Numbers = make([]uint64, len(receipts))
		for i, r := range receipts {
			c.Numbers[i] = r.Number
		}
	}
	text, _ := json.Marshal(c) // numbers and texts cannot fail
	send(rw, http.StatusOK, typeJSON, append(text, '\n'))
}
