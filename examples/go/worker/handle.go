package main

import (
	"bytes"
	"context"
	"encoding/json"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/worker"
)

// handle takes {"sleep":2} for two seconds, fails {"fail":true}, and succeeds with any other task.
func handle(ctx context.Context, l *glassq.Lease, r *worker.Reply) error {
	var job struct {
		Sleep float64 `json:"sleep"`
		Fail  bool    `json:"fail"`
	}
	result, began := glassq.Result{OK: true, A: l.Attempt}, time.Now()
	if bytes.HasPrefix(l.Body, []byte("{")) {
		if err := json.Unmarshal(l.Body, &job); err != nil || job.Fail {
			result.OK, result.Err = false, glassq.ErrClassBadTask
		}
	}
	time.Sleep(time.Duration(job.Sleep * float64(time.Second)))
	result.RT = time.Since(began)
	r.Body = glassq.AppendResult(r.Body, l.Body, l.Type, &result)
	return nil
}
