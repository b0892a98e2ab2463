package fetch

import (
	"context"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/worker"
)

// A handler does one request at a time.
type handler struct {
	f    *Fetcher
	fast fastEngine
	req  request // of the task at hand
	pure request // url only, used again and again
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

// An answer is what a request came to.
type answer struct {
	code int
	n    int64  // bytes of the body
	err  string // error class, "" when there was an answer
	msg  string
}

// Handle does the request of l. It returns an error only when ctx is done before the answer.
func (h *handler) Handle(ctx context.Context, l *glassq.Lease, r *worker.Reply) error {
	start := time.Now()
	var a answer
	var rt time.Duration
	req, err := h.parse(l.Body)
	if err != nil {
		a = answer{err: glassq.ErrClassBadTask, msg: err.Error()}
	} else {
		began := start
		backoff := h.f.opt.Backoff
		for try := 0; ; try++ {
			a = h.do(ctx, req, began)
			rt = time.Since(began)
			if ctx.Err() != nil && a.err != "" {
				return ctx.Err()
			}
			if a.err == "" || a.err == glassq.ErrClassBadTask || try >= h.f.opt.Retries {
				break
			}
			if err := pause(ctx, backoff); err != nil {
				return err
			}
			backoff = min(2*backoff, time.Minute)
			began = time.Now()
		}
		start = began
	}
	res := glassq.Result{
		OK: a.err == "", RT: rt, Code: a.code, Err: a.err, Msg: a.msg, N: a.n,
		T: start, Lag: l.Late, W: h.f.opt.Worker, A: l.Attempt,
	}
	if res.OK && !h.f.opt.Success(a.code) {
		res.OK, res.Err = false, glassq.ErrClassStatus
	}
	r.Body = glassq.AppendResult(r.Body, l.Body, l.Type, &res)
	r.Type = glassq.TypeJSON
	return nil
}

// do sends req once with the engine that fits.
func (h *handler) do(ctx context.Context, req *request, began time.Time) answer {
	timeout := h.f.opt.Timeout
	if req.timeout > 0 {
		timeout = req.timeout
	}
	if h.f.opt.Engine != EngineStd {
		if why := h.unfit(req); why == "" {
			return h.fast.do(ctx, req, began.Add(timeout))
		} else if h.f.opt.Engine == EngineFast {
			return answer{err: glassq.ErrClassBadTask, msg: "the fast engine cannot do this: " + why}
		}
	}
	return h.f.doStd(ctx, req, began.Add(timeout))
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
