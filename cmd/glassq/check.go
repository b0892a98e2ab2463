package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/check"
	"github.com/glassq/glassq/internal/disk"
	"github.com/glassq/glassq/internal/door"
	httpdoor "github.com/glassq/glassq/internal/door/http"
	"github.com/glassq/glassq/internal/door/manager"
	"github.com/glassq/glassq/internal/door/memcache"
	"github.com/glassq/glassq/internal/plain"
	"github.com/glassq/glassq/internal/report"
	"github.com/glassq/glassq/internal/stores"
	"github.com/spf13/cobra"
)

func (a *app) checkCmd() *cobra.Command {
	return group("check", "Hold a program to the protocol", a.checkWorkerCmd())
}

func (a *app) checkWorkerCmd() *cobra.Command {
	var opt check.Options
	var asJSON, list, verbose bool
	var own check.Format
	var success string
	cmd := &cobra.Command{
		Use:   "worker [flags] -- CMD [ARG…]",
		Short: "Run a worker in any language against a private server and tell what it gets wrong",
		Long: `Start a private server on free ports of the loopback, start the worker, feed it cases, and print which it
passed. The exit code is 0 when all passed, else 1.

The worker finds its server in the environment: GLASSQ_SERVER (http://host:port), GLASSQ_MEMCACHED (host:port),
GLASSQ_MANAGER (host:port) with GLASSQ_KEY. It takes from the queue tasks and acks with its results. Through the
pipe door it reads lines and prints lines (docs/pipe.md).

Its job: a body {"sleep":S} takes S seconds and succeeds; {"fail":true} fails with o.ok 0; a sleep that is not a
number fails; any other body succeeds. The result has the body in i.

A worker with a job of its own is told by --body what a task of it looks like, and by --success how a result that
went well does: a regular expression over its text. Cases that need a task which fails, or takes long, are left
out unless --failing-body and --slow-body say what that is.`,
		Example: `  glassq check worker --door pipe -- python3 -u worker.py
  glassq check worker --door http -- node worker.js
  glassq check worker --door http --body '{"image":"{n}.png"}' --success '"state":"done"' -- ./resize`,
		Args: cobra.ArbitraryArgs,
	}
	fs := cmd.Flags()
	fs.StringVar(&opt.Door, "door", check.DoorPipe, "`door` that the worker comes through: "+strings.Join(check.Doors(),
		", "))
	fs.StringSliceVar(&opt.Only, "case", nil, "run only this `case`; may be given several times")
	fs.StringVar(&own.Body, "body", "", "`text` of a task of a worker with a job of its own, which goes well; {n} is a number that no other has")
	fs.StringVar(&own.Failing, "failing-body", "", "with --body: `text` of a task that fails")
	fs.StringVar(&own.Slow, "slow-body", "", "with --body: `text` of a task that takes some three seconds")
	fs.StringVar(&success, "success", "", "with --body: `regular expression` that results match which went well, and no others; default o.ok of a result record")
	fs.DurationVar(&opt.Patience, "patience", 15*time.Second,
		"longest wait for what a case expects, from the last task that was done")
	fs.BoolVar(&list, "list", false, "list the cases of the door and run nothing")
	fs.BoolVar(&asJSON, "json", false, "print the verdicts as NDJSON")
	fs.BoolVarP(&verbose, "verbose", "v", false, "show what the worker prints")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if !slices.Contains(check.Doors(), opt.Door) {
			return usagef("--door %s is not one of %s", opt.Door, strings.Join(check.Doors(), ", "))
		}
		if own.Body != "" {
			opt.Own = &own
		} else if own.Failing != "" || own.Slow != "" || success != "" {
			return usagef("--failing-body, --slow-body and --success are of a worker with a job of its own: give --body too")
		}
		if success != "" {
			var err error
			if own.Success, err = regexp.Compile(success); err != nil {
				return usagef("--success: %w", err)
			}
		}
		names := check.Cases(opt.Door, opt.Own)
		if list {
			return a.printf("%s\n", strings.Join(names, "\n"))
		}
		for _, c := range opt.Only {
			if !slices.Contains(names, c) {
				return usagef("--case %s is no case of the door %s; there are: %s", c, opt.Door, strings.Join(names, ", "))
			}
		}
		if opt.Command = args; len(args) == 0 {
			return usagef("no worker to check: write its command behind --")
		}
		opt.Output = io.Discard
		if verbose {
			opt.Output = os.Stderr
		}
		return a.checkWorker(opt, asJSON)
	}
	return cmd
}

func (a *app) checkWorker(opt check.Options, asJSON bool) (err error) {
	ctx, stop := a.interruptible("glassq check", "stopping the worker")
	defer stop()
	dir, err := os.MkdirTemp("", "glassq-check-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	rig := &checkRig{dir: dir, door: opt.Door, logs: opt.Output}
	if opt.Door == check.DoorPipe {
		self, err := os.Executable()
		if err != nil {
			return err
		}
		opt.Command = append([]string{self, "work", "pipe", "-c", "1", "--"}, opt.Command...)
	}
	table := tabwriter.NewWriter(a.text(), 0, 0, 2, ' ', 0)
	opt.Each = func(v check.Verdict) {
		if asJSON {
			a.printJSON(v)
			return
		}
		word := "ok"
		if !v.OK {
			word = "FAIL"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", word, v.Case, report.Short(v.Took), v.What)
		if !v.OK {
			fmt.Fprintf(table, "\t\t\t  %s\n", strings.ReplaceAll(v.Reason, "\n", "; "))
		}
	}
	verdicts, err := check.Run(ctx, rig, opt)
	if err != nil {
		return err
	}
	if err := table.Flush(); err != nil {
		return err
	}
	failed := 0
	for _, v := range verdicts {
		if !v.OK {
			failed++
		}
	}
	a.console.Say("glassq check: %s through the door %s, %d passed, %d failed", plain.Plural(len(verdicts), "case", "cases"), opt.Door,
		len(verdicts)-failed, failed)
	if failed > 0 {
		return exit(exitUnexpected)
	}
	return nil
}

// A checkRig is the private server of a check. Its first start picks the ports, the others keep
// them.
type checkRig struct {
	dir  string
	door string
	logs io.Writer

	http, memcached, manager string // addresses
	store                    *stores.Store
	stop                     context.CancelFunc
	served                   sync.WaitGroup
	failed                   chan error // of doors that ended by themselves
}

const checkKey = "check"

func (r *checkRig) Start(watch func(glassq.Store) glassq.Store) error {
	ctx, stop := context.WithCancel(context.Background()) // ended by Stop
	store, err := openStore(ctx, r.dir, stores.Options{Sync: disk.SyncInterval, Between: watch})
	if err != nil {
		stop()
		return err
	}
	r.store, r.stop, r.failed = store, stop, make(chan error, 3) // as many as doors
	broker := store.Broker
	err = r.openDoor(ctx, &r.http, httpdoor.New(broker, httpdoor.Options{}).Run)
	if err == nil {
		err = r.openDoor(ctx, &r.memcached, memcache.New(broker, door.Frame{}).Run)
	}
	if err == nil {
		err = r.openDoor(ctx, &r.manager, manager.New(broker,
			manager.Options{Frame: door.Frame{Access: door.NewAccess([]byte(checkKey))}}).Run)
	}
	if err != nil {
		return errors.Join(err, r.Stop())
	}
	return nil
}

// openDoor listens at *addr, or on a free port that it writes there, and runs a door.
func (r *checkRig) openDoor(ctx context.Context, addr *string, run func(context.Context, net.Listener) error) error {
	if *addr == "" {
		*addr = "127.0.0.1:0"
	}
	ln, err := listen(*addr)
	if err != nil {
		return err
	}
	*addr = ln.Addr().String()
	r.served.Go(func() {
		if err := run(ctx, ln); err != nil {
			r.failed <- err
		}
	})
	return nil
}

func (r *checkRig) Stop() error {
	if r.store == nil {
		return nil
	}
	r.stop()
	r.served.Wait()
	err := r.store.Close()
	r.store = nil
	select {
	case failed := <-r.failed:
		err = errors.Join(failed, err)
	default:
	}
	return err
}

func (r *checkRig) Env() []string {
	return []string{"GLASSQ_SERVER=http://" + r.http, "GLASSQ_MEMCACHED=" + r.memcached, "GLASSQ_MANAGER=" + r.manager,
		"GLASSQ_KEY=" + checkKey}
}
