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

func (f *fetchFlags) flags(cmd *cobra.Command) {
	f.maxAnswer, f.captureText = 10<<20, 8<<10
	fs := cmd.Flags()
	f.set = fs
	fs.StringVar(&f.profile, "profile", fetch.ProfileMeasure, "measure: one request per task, the answer as it is; fetch: retries, redirects, decoding, and the guard")
	fs.StringVar(&f.opt.Engine, "engine", fetch.EngineAuto, "HTTP engine: auto, fast or std")
	fs.DurationVar(&f.opt.Timeout, "timeout", 30*time.Second, "most time for a try, connecting and redirects included")
	fs.DurationVar(&f.opt.ConnectTimeout, "connect-timeout", 10*time.Second, "most time to connect")
	fs.BoolVar(&f.keepAlive, "keep-alive", true, "use connections again")
	fs.BoolVar(&f.opt.HTTP2, "http2", false, "offer HTTP/2 to https targets")
	fs.StringVar(&f.opt.Proxy, "proxy", "", "`URL` of a proxy, http, https or socks5; the environment is not asked")
	fs.StringArrayVar(&f.opt.ConnectTo, "connect-to", nil, "`host:port:otherhost:otherport`: connect there instead; parts may be empty, may be repeated")
	fs.StringVar(&f.opt.UserAgent, "user-agent", "", "User-Agent of requests that have none of their own")
	fs.Var(&f.maxAnswer, "max-answer", "largest body of an answer, as it comes and decoded")
	fs.BoolVar(&f.opt.Phases, "phases", false, "tell the times of the phases: member ph")

	fs.IntVar(&f.opt.Retries, "retries", 0, "further tries of a request that got no answer or a status of --retry-on; 3 with --profile fetch")
	fs.StringVar(&f.retryOn, "retry-on", "", "`statuses` to try again, like 429,5xx; 408,429,500,502-504 with --profile fetch")
	fs.BoolVar(&f.opt.RetryUnsafe, "retry-unsafe", false, "try POST and the like again, too, when the target may have acted on it")
	fs.DurationVar(&f.opt.Backoff, "backoff", 0, "before the first retry, then doubled; 0 means 100ms, and 500ms with --profile fetch")
	fs.DurationVar(&f.opt.BackoffMax, "backoff-max", time.Minute, "most time before a retry; a longer Retry-After ends the tries")
	fs.IntVar(&f.opt.Redirects, "redirects", 0, "most redirects to follow; 10 with --profile fetch")
	fs.BoolVar(&f.opt.Decode, "decode", false, "ask for gzip, deflate, br and zstd, and unpack; on with --profile fetch")

	fs.BoolVar(&f.opt.Guard, "guard", false, "connect to public addresses only; on with --profile fetch")
	fs.StringArrayVar(&f.opt.AllowCIDR, "allow-cidr", nil, "`range` of addresses that the guard lets pass; may be repeated")
	fs.StringArrayVar(&f.opt.DenyCIDR, "deny-cidr", nil, "`range` of addresses never to connect to, with the guard or without; may be repeated")
	fs.StringArrayVar(&f.opt.AllowHost, "allow-host", nil, "`host`, or a domain like *.example.com, that may be asked, and no other; may be repeated")

	fs.StringVar(&f.opt.CAFile, "target-ca", "", "PEM `file` of further roots for https targets")
	fs.StringVar(&f.opt.CertFile, "target-cert", "", "PEM `file` of a client certificate for https targets, with --target-key")
	fs.StringVar(&f.opt.KeyFile, "target-key", "", "PEM `file` of its key")
	fs.StringVar(&f.opt.ServerName, "target-name", "", "`name` that the certificate of https targets has, instead of the URL's host")
	fs.BoolVar(&f.opt.Insecure, "target-insecure", false, "accept any certificate of https targets")

	fs.StringVar(&f.status, "expect-status", "", "`statuses` that are success; default 200-399")
	fs.StringArrayVar(&f.opt.Rules.Contains, "expect-body", nil, "`text` that the body must have; may be repeated")
	fs.StringVar(&f.match, "expect-match", "", "`regular expression` that the body must match")
	fs.StringVar(&f.sum, "expect-sha256", "", "SHA-256 that the body must have, in `hex`")
	fs.StringVar(&f.size, "expect-size", "", "`bytes` that the body must have, like 512, 1.. or 1..4096")
	fs.DurationVar(&f.opt.Rules.MaxTime, "expect-time", 0, "most time for a success; 0 for any")

	fs.StringVar(&f.opt.Capture, "save", fetch.CaptureOff, "bodies: off, hash, text (the first --save-text bytes) or file (in --save-dir)")
	fs.StringVar(&f.opt.CaptureDir, "save-dir", "", "`folder` for bodies; each is kept once, named for its SHA-256")
	fs.Var(&f.captureText, "save-text", "bytes of the body in the result, with --save text")
}

// settle fills in what the profile says and was not given, and reads what is a text on the command line.
func (f *fetchFlags) settle() (err error) {
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
	if !given("decode") {
		f.opt.Decode = base.Decode
	}
	if !given("guard") {
		f.opt.Guard = base.Guard
	}
	for name, d := range map[string]time.Duration{"timeout": f.opt.Timeout, "connect-timeout": f.opt.ConnectTimeout} {
		if d <= 0 {
			return fmt.Errorf("--%s %v: every try has an end; name the most time for it", name, d)
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

// open makes the fetcher; the caller must Close it. It tells say of what it chooses and lacks, once each.
func (f *fetchFlags) open(say func(string)) (*fetch.Fetcher, error) {
	if err := f.settle(); err != nil {
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
	ff.flags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := checkConcurrency(f.opt.Concurrency); err != nil {
			return err
		}
		tune()
		name := "glassq work http"
		fetcher, err := ff.open(func(s string) { a.console.Say("%s: %s", name, s) })
		if err != nil {
			return err
		}
		defer fetcher.Close()
		return a.work(cmd, &f, labour{name: name, what: fmt.Sprintf("%d at once, %s", f.opt.Concurrency, ff.describe(fetcher)),
			drains: "draining, requests under way end", handler: fetcher.Handler})
	}
	return cmd
}
