package fetch

import (
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// again tells whether the request of a task is to be tried another time after the answer a to its
// try number try, from 1 on, and how long to wait before. A failure that does not pass is not tried
// again. A method that may not be repeated is, only if nothing was sent or the server says that it
// did nothing, unless RetryUnsafe is set.
func (f *Fetcher) again(req *request, a *answer, try int, now time.Time) (wait time.Duration, again bool) {
	if try > f.opt.Retries || a.final || a.err == "" && !f.opt.RetryOn.Has(a.code) {
		return 0, false
	}
	refused := a.code == http.StatusTooManyRequests || a.code == http.StatusServiceUnavailable
	if !f.opt.RetryUnsafe && !idempotent(req.method) && !a.unsent && !refused {
		return 0, false
	}
	wait = backoff(f.opt.Backoff, f.opt.BackoffMax, try, rand.Float64())
	if asked, ok := retryAfter(a.after, now); ok {
		if asked > f.opt.BackoffMax {
			return 0, false // no worker is held that long: what the server said is the result
		}
		wait = max(wait, asked)
	}
	return wait, true
}

// backoff is the wait before try+1: first, doubled for each further try up to most, of which a
// random part of a half is taken off, so that many workers do not come back in step. r is between 0
// and 1.
func backoff(first, most time.Duration, try int, r float64) time.Duration {
	d := first
	for i := 1; i < try && d < most; i++ {
		d *= 2
	}
	d = min(d, most)
	return d - time.Duration(r*float64(d)/2)
}

// idempotent reports whether a request of method may be sent twice (RFC 9110, 9.2.2).
func idempotent(method string) bool {
	switch method {
	case "", http.MethodGet, http.MethodHead, http.MethodPut, http.MethodDelete, http.MethodOptions, http.MethodTrace:
		return true
	}
	return false
}

// retryAfter reads a Retry-After header: seconds or a date.
func retryAfter(text string, now time.Time) (time.Duration, bool) {
	text = strings.TrimSpace(text)
	if text == "" {
		return 0, false
	}
	if n, err := strconv.ParseUint(text, 10, 64); err == nil {
		return time.Duration(min(n, 1<<32)) * time.Second, true
	}
	t, err := http.ParseTime(text)
	if err != nil {
		return 0, false
	}
	return max(t.Sub(now), 0), true
}
