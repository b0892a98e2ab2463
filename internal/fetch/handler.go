package fetch

import (
	"bytes"
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/jsonline"
	"github.com/glassq/glassq/result"
	"github.com/glassq/glassq/worker"
)

// A handler does one request at a time.
type handler struct {
	f       *Fetcher
	fast    fastEngine
	buf     bytes.Buffer // a body that std read
	req     request      // of the task at hand
	pure    request      // url only, used again and again
	a       answer       // to the last request
	members []byte       // further members of o, each after a comma
}

func (f *Fetcher) newHandler() *handler {
	h := &handler{f: f}
	h.fast.init(f)
	return h
}

// Close closes the handler's connections.
func (h *handler) Close() error {
	h.fast.close()
	return nil
}

// Shed closes the handler's connections: the worker lacks files or ports.
func (h *handler) Shed() { h.fast.close() }

// An answer is what a request came to.
type answer struct {
	code     int
	n        int64  // bytes of the body as they came
	body     []byte // nil unless something wants it; until the next request
	err      string // error class, "" when there was an answer
	msg      string
	unsent   bool      // no connection came about
	final    bool      // another try would end the same way
	lack     string    // what the worker itself lacked
	sends    int       // times that the engine sent the request
	at       time.Time // when it was there; zero if the engine does not say
	location string
	encoding string   // Content-Encoding
	after    string   // Retry-After
	cookies  []string // each Set-Cookie
}

// A turn is one try of a task: a request and those that redirects add to it.
type turn struct {
	ctx      context.Context
	began    time.Time // the request at hand, about
	deadline time.Time
	watch    *stopwatch // nil unless phases are asked for
	hops     int
	url      string // of the last hop
	host     []byte // likewise
	extra    int    // times a request was sent beyond the first
}

// keepBuffer is the room that a handler keeps for bodies between tasks.
const keepBuffer = 1 << 20

// Handle does the request of l. It returns an error when ctx is done before the answer, or when the
// body could not be kept.
func (h *handler) Handle(ctx context.Context, l *glassq.Lease, r *worker.Reply) error {
	start := time.Now()
	began := start
	a := &h.a
	var rt time.Duration
	h.members = h.members[:0]
	res := result.Record{Worker: h.f.opt.Worker, Attempt: l.Attempt}
	size := int64(0)
	req, err := h.parse(l.Body)
	if err != nil {
		*a = answer{err: result.ClassBadTask, msg: err.Error()}
	} else {
		if len(l.Body) > inlineBody {
			began = time.Now() // to read that took its time, which is not the target's
		}
		place, err := h.f.enter(ctx, req)
		if err != nil {
			return forAll(err, l.Key, req.host)
		}
		if place != nil {
			defer func() { place.leave(rt) }()
			began = time.Now()
		}
		t := turn{ctx: ctx}
		tries, extra := 1, 0
		for ; ; tries++ {
			t = turn{ctx: ctx, began: began, deadline: began.Add(h.f.timeout(req))}
			if h.f.opt.Phases {
				t.watch = &stopwatch{began: began}
			}
			h.chain(&t, req)
			now := a.at
			if now.IsZero() {
				now = time.Now()
			}
			rt = now.Sub(began)
			extra += t.extra
			if ctx.Err() != nil && a.err != "" {
				return ctx.Err()
			}
			if a.lack != "" {
				return &worker.NackError{Undone: true, Lack: a.lack, Err: errors.New(a.msg)}
			}
			if err := h.f.asked(t.host, a, now); err != nil {
				return forAll(err, l.Key, t.host)
			}
			wait, again := h.f.again(req, a, tries, now)
			if !again {
				break
			}
			if err := pause(ctx, wait); err != nil {
				return err
			}
			began = time.Now()
		}
		size = h.unpack(a)
		h.describe(&t, tries+extra, size)
	}
	res.Code, res.Class, res.Message, res.Bytes = a.code, a.err, a.msg, a.n
	if a.err == "" {
		res.Class, res.Message = h.f.opt.Rules.judge(a.code, a.body, size, rt)
		res.OK = res.Class == ""
	}
	if a.code != 0 {
		if h.members, err = h.f.capture.append(h.members, a.body); err != nil {
			return err // the task is given back: nothing is acked that is not kept
		}
	}
	res.Took, res.Began, res.Lag = rt, began, l.Late+began.Sub(start)
	if len(h.members) > 0 {
		res.More = string(h.members[1:])
	}
	r.Body = result.Append(r.Body, l.Body, l.Type, &res)
	r.Type = glassq.TypeJSON
	r.Judged, r.Outcome = true, glassq.Failed
	if res.OK {
		r.Outcome = glassq.OK
	}
	h.release()
	return nil
}

// unpack decodes the body and returns its size then.
func (h *handler) unpack(a *answer) int64 {
	if !h.f.opt.Decode || a.encoding == "" || a.code == 0 {
		return a.n
	}
	body, err := decode(a.body, a.encoding, h.f.opt.MaxBody)
	if err != nil {
		if a.err == "" {
			a.err, a.msg = result.ClassProtocol, err.Error()
			if errors.Is(err, errTooLarge) {
				a.err = result.ClassTooLarge
			}
		}
		return a.n
	}
	a.body = body
	return int64(len(body))
}

// describe notes what the try was like beyond the usual members.
func (h *handler) describe(t *turn, tries int, size int64) {
	number := func(name string, n int64) {
		h.members = append(h.members, name...)
		h.members = strconv.AppendInt(h.members, n, 10)
	}
	if tries > 1 {
		number(`,"tries":`, int64(tries))
	}
	if t.hops > 0 {
		number(`,"hops":`, int64(t.hops))
		h.members = append(h.members, `,"url":`...)
		h.members = jsonline.AppendString(h.members, t.url)
	}
	if size != h.a.n {
		number(`,"size":`, size)
	}
	if t.watch != nil {
		h.members = t.watch.append(h.members)
	}
}

// release drops a body and what was large for it.
func (h *handler) release() {
	h.a.body = nil
	h.fast.release()
	if h.buf.Cap() > keepBuffer {
		h.buf = bytes.Buffer{}
	}
}

// timeout is the most time for a try of req.
func (f *Fetcher) timeout(req *request) time.Duration {
	if req.timeout > 0 {
		return req.timeout
	}
	return f.opt.Timeout
}

// do sends req once with the engine that fits, and leaves the answer in h.a.
func (h *handler) do(t *turn, req *request) {
	if h.f.opt.Engine != EngineStd {
		why := h.unfit(req)
		switch {
		case why == "":
			h.a = h.fast.do(t, req)
			return
		case h.f.opt.Engine == EngineFast:
			h.a = answer{final: true, err: result.ClassBadTask, msg: "the fast engine cannot do this: " + why}
			return
		}
		h.f.once("the std engine does tasks with " + why)
	}
	h.a = h.doStd(t, req)
}

// unfit tells why the fast engine cannot do req, or "".
func (h *handler) unfit(req *request) string {
	switch {
	case h.f.opt.Proxy != "":
		return "proxy"
	case h.f.opt.HTTP2 && req.tls:
		return "HTTP/2"
	case req.odd != "":
		return req.odd
	}
	return ""
}

// wants reports whether something looks at the body of an answer under encoding.
func (f *Fetcher) wants(encoding string) bool {
	return f.wantBody || f.opt.Decode && encoding != ""
}

// note keeps what the header of an answer says, where it may matter.
func (f *Fetcher) note(a *answer, header func(name string) []string) {
	first := func(name string) string {
		if list := header(name); len(list) > 0 {
			return list[0]
		}
		return ""
	}
	if redirects(a.code) && f.opt.Redirects > 0 {
		a.location = first("Location")
		if f.opt.Cookies {
			a.cookies = header("Set-Cookie")
		}
	}
	if f.opt.Retries > 0 && f.opt.RetryOn.Has(a.code) {
		a.after = first("Retry-After")
	}
	if f.opt.Decode {
		a.encoding = first("Content-Encoding")
	}
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
