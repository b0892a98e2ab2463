package main

import (
	"encoding/hex"
	"fmt"
	"io"
	"log"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/glassq/glassq/internal/fetch"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// fetchFlags say how requests are made.
type fetchFlags struct {
	opt         fetch.Options
	set         *pflag.FlagSet // that they are in, to know which were given
	profile     string
	keepAlive   bool
	retryOn     string
	maxAnswer   byteSize
	captureText byteSize
	status      string
	match       string
	sum         string
	size        string
}

// fillIn fills in what the profile says and was not given, and reads what is a text on the command
// line.
func (f *fetchFlags) fillIn() (err error) {
	base, err := fetch.Profile(f.profile)
	if err != nil {
		return err
	}
	given := f.set.Changed
	if !given("retries") {
		f.opt.Retries = base.Retries
	}
	if !given("backoff") {
		f.opt.Backoff = base.Backoff
	}
	if !given("redirects") {
		f.opt.Redirects = base.Redirects
	}
	if !given("cookies") {
		f.opt.Cookies = base.Cookies
	}
	if !given("decode") {
		f.opt.Decode = base.Decode
	}
	if !given("guard") {
		f.opt.Guard = base.Guard
	}
	for i, d := range []time.Duration{f.opt.Timeout, f.opt.ConnectTimeout} {
		if d <= 0 {
			return fmt.Errorf("--%s %v: every try has an end; name the most time for it", []string{"timeout", "connect-timeout"}[i], d)
		}
	}
	f.opt.RetryOn = base.RetryOn
	if given("retry-on") {
		if f.opt.RetryOn, err = fetch.ParseCodes(f.retryOn); err != nil {
			return fmt.Errorf("--retry-on: %w", err)
		}
	}
	f.opt.NoKeepAlive = !f.keepAlive
	f.opt.MaxBody, f.opt.CaptureText = int64(f.maxAnswer), int(f.captureText)
	if f.maxAnswer == 0 || f.maxAnswer > 1<<30 {
		return fmt.Errorf("--max-answer %s is not between 1 and 1GiB", f.maxAnswer.String())
	}
	if f.captureText == 0 || f.captureText > 1<<20 {
		return fmt.Errorf("--save-text %s is not between 1 and 1MiB", f.captureText.String())
	}
	return f.rules(&f.opt.Rules)
}

func (f *fetchFlags) rules(r *fetch.Rules) (err error) {
	if r.Codes, err = fetch.ParseCodes(f.status); err != nil {
		return fmt.Errorf("--expect-status: %w", err)
	}
	if f.match != "" {
		if r.Match, err = regexp.Compile(f.match); err != nil {
			return fmt.Errorf("--expect-match: %w", err)
		}
	}
	if f.sum != "" {
		if r.SHA256, err = hex.DecodeString(f.sum); err != nil {
			return fmt.Errorf("--expect-sha256 %q is not hex", f.sum)
		}
	}
	if f.size == "" {
		return nil
	}
	least, most, span := strings.Cut(f.size, "..")
	if !span {
		most = least
	}
	r.MinSize, err = strconv.ParseInt(least, 10, 64)
	if err == nil && most != "" {
		r.MaxSize, err = strconv.ParseInt(most, 10, 64)
	}
	if err != nil || r.MinSize < 0 || most != "" && r.MaxSize < max(r.MinSize, 1) {
		return fmt.Errorf("--expect-size %q is not like 512, 1.. or 1..4096", f.size)
	}
	return nil
}

// newFetcher makes the fetcher; the caller must Close it. It tells say of what it chooses and
// lacks, once each.
func (f *fetchFlags) newFetcher(say func(string)) (*fetch.Fetcher, error) {
	if err := f.fillIn(); err != nil {
		return nil, usagef("%w", err)
	}
	f.opt.Worker = workerName()
	f.opt.Notify = say
	log.SetOutput(io.Discard) // net/http tells it of bytes that servers send unasked
	fetcher, err := fetch.New(f.opt)
	if err != nil {
		return nil, usagef("%w", err)
	}
	return fetcher, nil
}

// describe is for the first line of a worker.
func (f *fetchFlags) describe(fetcher *fetch.Fetcher) string {
	text := fmt.Sprintf("profile %s, engine %s", f.profile, fetcher.Plan())
	if f.opt.Guard {
		text += ", public addresses only"
	}
	return text
}

func (a *app) workHTTPCmd() *cobra.Command {
	var f workFlags
	var ff fetchFlags
	cmd := &cobra.Command{
		Use:   "http",
		Short: "Do HTTP requests: a task is a URL, or JSON with url, method, header, body, timeout",
		Long: `Do HTTP requests. A task is a URL, or {"url", "method", "header", "body", "timeout"} as JSON. Each task
has one result. With --profile measure it is of one request, taken as it is; with --profile fetch a failed
one is tried again, redirects are followed, bodies unpacked, and only public addresses connected to. A
server that is away is waited for.`,
		Example: `  glassq work http -c 100
  glassq work http --profile fetch --save file --save-dir pages --expect-match '<title>'
  glassq work http --server https://queue.example:5080 --key-file key --ca ca.pem --until-done r1`,
		Args: arguments(0, 0),
	}
	f.flags(cmd, defaultConcurrency, "requests at once")
	requestFlags(cmd, nil, &ff)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := checkConcurrency(f.opt.Concurrency); err != nil {
			return err
		}
		defer tune(mostGarbage)()
		name := "glassq work http"
		fetcher, err := ff.newFetcher(func(s string) { a.console.Say("%s: %s", name, s) })
		if err != nil {
			return err
		}
		defer fetcher.Close()
		return a.work(cmd, &f, labour{name: name, what: fmt.Sprintf("%d at once, %s", f.opt.Concurrency,
			ff.describe(fetcher)),
			drains: "draining, requests under way end", handler: fetcher.Handler})
	}
	return cmd
}
