// Command worker does the job of the conformance kit over HTTP with the standard library alone.
// -broken breaks it in one way; the kit must find each of them.
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"
)

var (
	broken = flag.String("broken", "", "what to get wrong")
	server = os.Getenv("GLASSQ_SERVER")
)

type lease struct {
	Token   string            `json:"token"`
	Attempt int               `json:"attempt"`
	Lease   float64           `json:"lease"`
	Headers map[string]string `json:"headers"`
	Body    json.RawMessage   `json:"body"`
	B64     *string           `json:"b64"`
}

func main() {
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if *broken == "deaf" {
		ctx = context.Background()
	}
	var wg sync.WaitGroup
	for ctx.Err() == nil {
		wait := "10s"
		if *broken == "polls" {
			wait = "0"
			time.Sleep(time.Millisecond)
		}
		batch, err := reserve(ctx, wait)
		if err != nil {
			if *broken == "gives-up" && ctx.Err() == nil {
				os.Exit(1)
			}
			time.Sleep(50 * time.Millisecond)
			continue
		}
		for i := range batch {
			wg.Go(func() { work(&batch[i]) })
		}
		wg.Wait()
	}
}

func reserve(ctx context.Context, wait string) ([]lease, error) {
	take := ""
	if *broken == "takes" {
		take = "&take=true"
	}
	req, err := http.NewRequestWithContext(ctx, "POST", server+"/v1/queues/tasks/reserve?max=64&wait="+wait+take, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != 200 && resp.StatusCode != 204 {
		return nil, fmt.Errorf("reserve: %s", resp.Status)
	}
	var batch []lease
	for r := bufio.NewReader(resp.Body); ; {
		line, err := r.ReadBytes('\n')
		if len(line) > 0 {
			var l lease
			if err := json.Unmarshal(line, &l); err != nil {
				return batch, err
			}
			if *broken == "strict" && bytes.Contains(line, []byte(`"from"`)) {
				os.Exit(1)
			}
			batch = append(batch, l)
		}
		if err != nil {
			return batch, nil
		}
	}
}

func work(l *lease) {
	began := time.Now()
	ok, code := do(l)
	o := map[string]any{"ok": ok, "rt": time.Since(began).Seconds(), "code": code}
	if *broken == "no-verdict" {
		o = map[string]any{"rt": 0.1}
	}
	result := map[string]any{"o": o}
	if l.B64 != nil {
		result["b64"] = *l.B64
	} else {
		result["i"] = echo(l.Body)
	}
	ack := map[string]any{"token": l.Token, "result": result,
		"headers": map[string]string{"traceparent": l.Headers["traceparent"]}}
	switch *broken {
	case "other-trace":
		ack["headers"] = map[string]string{"traceparent": "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01"}
	case "no-result":
		delete(ack, "result")
	case "takes", "aside":
		text, _ := json.Marshal(map[string]any{"body": result})
		post("/v1/queues/results/tasks", string(text))
		if *broken == "aside" {
			delete(ack, "result")
			send(ack)
		}
		return
	}
	send(ack)
}

func do(l *lease) (ok, code int) {
	var job struct {
		Sleep *json.RawMessage `json:"sleep"`
		Fail  bool             `json:"fail"`
	}
	json.Unmarshal(l.Body, &job) // a body that is no object is no job
	if job.Fail {
		switch *broken {
		case "always-ok":
			return 1, 0
		case "dies":
			os.Exit(3)
		}
		return 0, 1
	}
	if job.Sleep == nil {
		return 1, 0
	}
	var seconds float64
	if err := json.Unmarshal(*job.Sleep, &seconds); err != nil {
		if *broken == "hangs" {
			select {}
		}
		return 0, 2
	}
	done := time.After(time.Duration(seconds * float64(time.Second)))
	for {
		select {
		case <-done:
			return 1, 0
		case <-time.After(time.Duration(l.Lease / 3 * float64(time.Second))):
			if *broken != "no-extend" {
				post("/v1/extend", fmt.Sprintf(`{"token":%q}`, l.Token))
			}
		}
	}
}

// echo is what goes into i.
func echo(body json.RawMessage) any {
	switch *broken {
	case "ascii":
		var s string
		if json.Unmarshal(body, &s) == nil {
			return strings.Map(func(r rune) rune {
				if r > 127 {
					return '?'
				}
				return r
			}, s)
		}
	case "rounds":
		var v any
		json.Unmarshal(body, &v)
		return v
	case "cuts":
		var s string
		if json.Unmarshal(body, &s) == nil {
			return s[:min(len(s), 65536)]
		}
	case "stringly":
		if len(body) > 0 && body[0] != '"' {
			return string(body)
		}
	}
	return body
}

// send acks and repeats where the answer is lost.
func send(ack map[string]any) {
	text, _ := json.Marshal(ack)
	for {
		status, err := post("/v1/ack", string(text))
		if err == nil && status < 500 {
			if *broken == "brittle" && status == 409 {
				os.Exit(1)
			}
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func post(path, body string) (int, error) {
	resp, err := http.Post(server+path, "application/json", strings.NewReader(body))
	if err != nil {
		return 0, err
	}
	resp.Body.Close()
	return resp.StatusCode, nil
}
