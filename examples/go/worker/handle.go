package main

import (
	"bytes"
	"context"
	"encoding/json"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/result"
	"github.com/glassq/glassq/worker"
)

// handle takes {"sleep":2} for two seconds, fails {"fail":true}, and succeeds with any other task.
func handle(ctx context.Context, l *glassq.Lease, r *worker.Reply) error {
	var job struct {
		Sleep float64 `json:"sleep"`
		Fail  bool    `json:"fail"`
	}
	out, began := result.Record{OK: true, Attempt: l.Attempt}, time.Now()
	if bytes.HasPrefix(l.Body, []byte("{")) {
		if err := json.Unmarshal(l.Body, &job); err != nil || job.Fail {
			out.OK, out.Class = false, result.ClassBadTask
		}
	}
	time.Sleep(time.Duration(job.Sleep * float64(time.Second)))
	out.Took = time.Since(began)
	r.Body = result.Append(r.Body, l.Body, l.Type, &out)
	return nil
}
