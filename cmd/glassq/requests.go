package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/cli/config"
	"github.com/glassq/glassq/internal/dispatch"
	"github.com/glassq/glassq/internal/fetch"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Headings of the help of commands with many flags, in their order. Flags without one come first.
const (
	headTasks     = "What tasks are made of"
	headPace      = "Rate and time"
	headSummary   = "Summary, rules and lists"
	headRequests  = "Requests"
	headTries     = "Tries, redirects, politeness"
	headConnect   = "Connections"
	headAddresses = "Addresses that may be connected to"
	headTLS       = "TLS towards targets"
	headSuccess   = "What counts as success"
	headBodies    = "Bodies of answers"
)

// requestFlags adds the options of requests to cmd: what a task says for task, and how it is done
// for work; each may be nil. This is the one table of them: run has both, dispatch and runs retry
// the first, work http the second.
func requestFlags(cmd *cobra.Command, task *taskFlags, work *fetchFlags) {
	if t := task; t != nil {
		heading(cmd, headRequests, func(fs *pflag.FlagSet) {
			fs.StringVarP(&t.method, "method", "X", "", "method of the requests")
			fs.StringArrayVarP(&t.header, "header", "H", nil,
				"header of the requests, 'Name: value'; may be repeated, and be a template")
			fs.StringVar(&t.body, "body", "", "body of the requests, a template; @FILE is the content of a file as it is, @@ a literal @")
			fs.VarP(&dataFlag{t, false}, "data-ascii", "d",
				"body as curl has it: text with {0}, {line} and the like, or @FILE without line ends; several are joined by &, and make a POST of a form")
			fs.Var(&dataFlag{t, true}, "data-binary", "the same, with the line ends of a file")
			if work == nil {
				fs.DurationVar(&t.timeout, "timeout", 0, "time-out of the requests, written into each task")
			}
		})
		config.MayBeEmpty(cmd, "body")
	}
	f := work
	if f == nil {
		return
	}
	f.set = cmd.Flags()
	f.maxAnswer, f.captureText = 10<<20, 8<<10
	heading(cmd, headRequests, func(fs *pflag.FlagSet) {
		fs.StringVar(&f.profile, "profile", fetch.ProfileMeasure,
			"measure: one request per task, the answer as it is; fetch: retries, redirects, cookies, decoding, and the guard")
		fs.StringVar(&f.opt.Engine, "engine", fetch.EngineAuto, "HTTP engine: auto, fast or std")
		fs.DurationVar(&f.opt.Timeout, "timeout", 30*time.Second, "most time for a try, connecting and redirects included")
		fs.StringVar(&f.opt.UserAgent, "user-agent", "", "User-Agent of requests that have none of their own")
		fs.BoolVar(&f.opt.HTTP2, "http2", false, "offer HTTP/2 to https targets")
		fs.BoolVar(&f.opt.Phases, "phases", false, "tell the times of the phases: member ph")
	})
	heading(cmd, headTries, func(fs *pflag.FlagSet) {
		fs.IntVar(&f.opt.Retries, "retries", 0, "further tries of a request that got no answer or a status of --retry-on; 3 with --profile fetch")
		fs.StringVar(&f.retryOn, "retry-on", "", "`statuses` to try again, like 429,5xx; 408,429,500,502-504 with --profile fetch")
		fs.BoolVar(&f.opt.RetryUnsafe, "retry-unsafe", false,
			"try POST and the like again, too, when the target may have acted on it")
		fs.DurationVar(&f.opt.Backoff, "backoff", 0, "before the first retry, then doubled; 0 means 100ms, and 500ms with --profile fetch")
		fs.DurationVar(&f.opt.BackoffMax, "backoff-max", time.Minute,
			"most time before a retry, and longest Retry-After that is waited for")
		fs.IntVar(&f.opt.Redirects, "redirects", 0, "most redirects to follow; 10 with --profile fetch")
		fs.BoolVar(&f.opt.Cookies, "cookies", false, "keep cookies over the redirects of a task; on with --profile fetch")
		fs.IntVar(&f.opt.PerHost, "per-host", 0, "most requests at once to one host, of this worker; 0 no limit")
		fs.Float64Var(&f.opt.PerHostRate, "per-host-rate", 0,
			"most requests a second to one host, of this worker; 0 no limit")
	})
	heading(cmd, headConnect, func(fs *pflag.FlagSet) {
		fs.DurationVar(&f.opt.ConnectTimeout, "connect-timeout", 10*time.Second, "most time to connect")
		fs.BoolVar(&f.keepAlive, "keep-alive", true, "use connections again")
		fs.DurationVar(&f.opt.MaxAge, "max-connection-age", 0,
			"use no connection again that is older, so that a name which moved is looked up; 0 any")
		fs.StringVar(&f.opt.Proxy, "proxy", "", "`URL` of a proxy, http, https or socks5; the environment is not asked")
		fs.StringArrayVar(&f.opt.ConnectTo, "connect-to", nil,
			"`host:port:otherhost:otherport`: connect there instead; parts may be empty, may be repeated")
		fs.StringVar(&f.opt.UnixSocket, "unix-socket", "",
			"`path` of a socket that all connections go to, whatever the URL says")
	})
	heading(cmd, headAddresses, func(fs *pflag.FlagSet) {
		fs.BoolVar(&f.opt.Guard, "guard", false, "connect to public addresses only; on with --profile fetch")
		fs.StringArrayVar(&f.opt.AllowCIDR, "allow-cidr", nil,
			"`range` of addresses that the guard lets pass; may be repeated")
		fs.StringArrayVar(&f.opt.DenyCIDR, "deny-cidr", nil,
			"`range` of addresses never to connect to, with the guard or without; may be repeated")
		fs.StringArrayVar(&f.opt.AllowHost, "allow-host", nil,
			"`host`, or a domain like *.example.com, that may be asked, and no other; may be repeated")
	})
	heading(cmd, headTLS, func(fs *pflag.FlagSet) {
		fs.StringVar(&f.opt.CAFile, "target-ca", "", "PEM `file` of further roots for https targets")
		fs.StringVar(&f.opt.CertFile, "target-cert", "",
			"PEM `file` of a client certificate for https targets, with --target-key")
		fs.StringVar(&f.opt.KeyFile, "target-key", "", "PEM `file` of its key")
		fs.StringVar(&f.opt.ServerName, "target-name", "",
			"`name` that the certificate of https targets has, instead of the URL's host")
		fs.BoolVar(&f.opt.Insecure, "target-insecure", false, "accept any certificate of https targets")
	})
	heading(cmd, headSuccess, func(fs *pflag.FlagSet) {
		fs.StringVar(&f.status, "expect-status", "", "`statuses` that are success; default 200-399")
		fs.StringArrayVar(&f.opt.Rules.Contains, "expect-body", nil, "`text` that the body must have; may be repeated")
		fs.StringVar(&f.match, "expect-match", "", "`regular expression` that the body must match")
		fs.StringVar(&f.sum, "expect-sha256", "", "SHA-256 that the body must have, in `hex`")
		fs.StringVar(&f.size, "expect-size", "", "`bytes` that the body must have, like 512, 1.. or 1..4096")
		fs.DurationVar(&f.opt.Rules.MaxTime, "expect-time", 0, "most time for a success; 0 for any")
	})
	heading(cmd, headBodies, func(fs *pflag.FlagSet) {
		fs.BoolVar(&f.opt.Decode, "decode", false, "ask for gzip, deflate, br and zstd, and unpack; on with --profile fetch")
		fs.Var(&f.maxAnswer, "max-answer", "largest body of an answer, as it comes and decoded")
		fs.StringVar(&f.opt.Capture, "save", fetch.CaptureOff,
			"bodies: off, hash, text (the first --save-text bytes) or file (in --save-dir)")
		fs.StringVar(&f.opt.CaptureDir, "save-dir", "", "`folder` for bodies; each is kept once, named for its SHA-256")
		fs.Var(&f.captureText, "save-text", "bytes of the body in the result, with --save text")
	})
}

// headingOf is the annotation of a flag that has a heading.
const headingOf = "heading"

// heading puts the flags that add defines under a heading of cmd's help.
func heading(cmd *cobra.Command, title string, add func(*pflag.FlagSet)) {
	fs := pflag.NewFlagSet("", pflag.ContinueOnError)
	add(fs)
	fs.VisitAll(func(f *pflag.Flag) { f.Annotations = map[string][]string{headingOf: {title}} })
	cmd.Flags().AddFlagSet(fs)
}

// flagGroups prints flags under their headings.
func flagGroups(all *pflag.FlagSet) string {
	var b strings.Builder
	for _, title := range []string{"", headTasks, headPace, headSummary, headRequests, headTries, headConnect,
		headAddresses, headTLS, headSuccess, headBodies} {
		fs := pflag.NewFlagSet("", pflag.ContinueOnError)
		all.VisitAll(func(f *pflag.Flag) {
			if strings.Join(f.Annotations[headingOf], "") == title {
				fs.AddFlag(f)
			}
		})
		if !fs.HasAvailableFlags() {
			continue
		}
		if title == "" {
			title = "Flags"
		}
		fmt.Fprintf(&b, "\n\n%s:\n%s", title, strings.TrimRight(fs.FlagUsages(), "\n"))
	}
	return b.String()
}

// taskFlags say what a task asks for.
type taskFlags struct {
	method  string
	header  []string
	body    string
	hasBody bool
	data    []datum
	timeout time.Duration // of a request; run has it in fetchFlags
}

// A datum is one -d or --data-binary.
type datum struct {
	text   string
	binary bool
}

// A dataFlag collects them in their order.
type dataFlag struct {
	t      *taskFlags
	binary bool
}

func (d *dataFlag) Set(s string) error {
	d.t.data = append(d.t.data, datum{s, d.binary})
	return nil
}
func (d *dataFlag) String() string { return "" }
func (d *dataFlag) Type() string   { return "text" }

// request is what the flags make of a URL, nil for nothing. stdin is what @- reads, nil when that
// has other uses.
func (t *taskFlags) request(stdin *os.File) (*dispatch.Request, error) {
	if t.method == "" && len(t.header) == 0 && !t.hasBody && len(t.data) == 0 && t.timeout == 0 {
		return nil, nil
	}
	r := &dispatch.Request{Method: t.method, Timeout: t.timeout}
	if t.timeout < 0 {
		return nil, usagef("--timeout %v is negative", t.timeout)
	}
	if t.method != "" {
		if err := dispatch.CheckMethod(t.method); err != nil {
			return nil, err
		}
	}
	typed := false
	for _, text := range t.header {
		f, err := dispatch.ParseField(text)
		if err != nil {
			return nil, err
		}
		typed = typed || strings.EqualFold(f.Name, "Content-Type")
		r.Header = append(r.Header, f)
	}
	var err error
	switch path, isFile := strings.CutPrefix(t.body, "@"); {
	case len(t.data) > 0:
		if t.hasBody {
			return nil, usagef("--body and -d at once: both are the body; leave one out")
		}
		if r.Method == "" {
			r.Method = "POST"
		}
		if !typed {
			f, _ := dispatch.ParseField("Content-Type: application/x-www-form-urlencoded") // which is one
			r.Header = append(r.Header, f)
		}
		r.Body, err = joinData(t.data, stdin)
	case !t.hasBody:
	case isFile && !strings.HasPrefix(path, "@"):
		var b []byte
		b, err = readBody(path, stdin)
		r.Body = dispatch.Literal(string(b))
	default:
		if isFile {
			t.body = path // @@ is a literal @
		}
		r.Body, err = dispatch.ParseTemplate(t.body)
	}
	return r, err
}

// joinData is the body that curl makes of its -d and --data-binary.
func joinData(data []datum, stdin *os.File) (*dispatch.Template, error) {
	var parts []*dispatch.Template
	for _, d := range data {
		path, isFile := strings.CutPrefix(d.text, "@")
		if !isFile {
			parts = append(parts, dispatch.ParseData(d.text))
			continue
		}
		b, err := readBody(path, stdin)
		if err != nil {
			return nil, err
		}
		text := string(b)
		if !d.binary {
			text = strings.NewReplacer("\r", "", "\n", "", "\x00", "").Replace(text)
		}
		parts = append(parts, dispatch.Literal(text))
	}
	return dispatch.Join("&", parts), nil
}

// readBody reads the file at path; - is standard input.
func readBody(path string, stdin *os.File) ([]byte, error) {
	if path != "-" {
		return dispatch.ReadBody(path)
	}
	if stdin == nil {
		return nil, usagef("@- reads the body from standard input, where the lines of tasks come from: name a file, or give -n, --range or --file")
	}
	b, err := io.ReadAll(io.LimitReader(stdin, glassq.HardMaxBody+1))
	if err == nil && len(b) > glassq.HardMaxBody {
		err = usagef("standard input is larger than any body, %d bytes", glassq.HardMaxBody)
	}
	return b, err
}
