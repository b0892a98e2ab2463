package main

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/glassq/glassq"
	"github.com/glassq/glassq/client"
	"github.com/glassq/glassq/internal/audit"
	"github.com/glassq/glassq/internal/cli/config"
	"github.com/glassq/glassq/internal/door"
	"github.com/glassq/glassq/internal/rights"
	"github.com/glassq/glassq/internal/stores"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// A running server is what a reload changes.
type running struct {
	f      *serveFlags
	access *door.Access
	store  *stores.Store
}

// reloadable are the settings of serve that change while it runs, with how. Each takes what was
// read and checked anew, cannot fail, and tells whether something is different now: a file may have
// other content under the same name.
var reloadable = map[string]func(a *app, r *running, fresh *serveFlags) bool{
	"log-level": func(a *app, _ *running, fresh *serveFlags) bool { return a.console.SetLevel(fresh.level) },
	"key-file": func(_ *app, r *running, fresh *serveFlags) bool {
		return r.f.keys != nil && r.access.SetKeys(fresh.keys...)
	},
	"tls-cert": func(_ *app, r *running, fresh *serveFlags) bool { return r.f.cert != nil && r.f.cert.Adopt(fresh.cert) },
	"tls-key":  func(*app, *running, *serveFlags) bool { return false }, // with tls-cert
	"token-file": func(_ *app, r *running, _ *serveFlags) bool {
		return r.f.tokens != nil && r.f.tokens.Look(r.f.logger)
	},
	"max-body": func(_ *app, r *running, fresh *serveFlags) bool {
		r.store.SetLimits(glassq.Limits{MaxBody: int(fresh.maxBody)})
		return false
	},
	"min-free": func(_ *app, r *running, fresh *serveFlags) bool {
		r.store.SetMinFree(fresh.watermark)
		return false
	},
}

// needsRestart tells whether a setting that could change has become one, or ceased to be one, or is
// the name of a file that is followed, or more than the memory was shared out for.
func (r *running) needsRestart(name, before, now string, fresh *serveFlags) bool {
	switch name {
	case "max-body":
		return !r.f.memory.Fits(int(fresh.maxBody))
	case "token-file":
		return before != now
	case "key-file", "tls-cert", "tls-key":
		return (before == "") != (now == "")
	}
	return false
}

// A reloader reads the settings of a running server again. It is safe for concurrent use.
type reloader struct {
	a *app

	mu  sync.Mutex
	on  *running          // nil: the server is still starting
	now map[string]string // the values of flags that are in force
}

func (a *app) newReloader(cmd *cobra.Command) *reloader {
	return &reloader{a: a, now: flagValues(cmd)}
}

// begin has reloads change a server that runs from now on.
func (r *reloader) begin(on *running) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.on = on
}

func flagValues(cmd *cobra.Command) map[string]string {
	values := map[string]string{}
	cmd.Flags().VisitAll(func(f *pflag.Flag) { values[f.Name] = f.Value.String() })
	return values
}

// reload reads the command line, the environment and the file as a start would, and the files that
// they name. When a start would fail, nothing changes. The service manager and the log hear of it.
func (r *reloader) reload() (glassq.Reloaded, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	tell(daemon.SdNotifyReloading + "\n" + daemon.SdNotifyMonotonicUsec())
	defer tell(daemon.SdNotifyReady)
	did, err := r.again()
	if err != nil {
		r.a.console.Note(slog.LevelError, "glassq serve: reload: "+sentence(err), "reload refused", "err", sentence(err))
	} else {
		r.a.console.Note(slog.LevelInfo, "glassq serve: reload: "+describeReload(did), "reloaded",
			"changed", did.Changed, "restart", did.Restart)
	}
	return did, err
}

// again is reload with mu held.
func (r *reloader) again() (glassq.Reloaded, error) {
	did := glassq.Reloaded{Changed: []string{}, Restart: []string{}}
	fresh := &app{in: r.a.in, out: r.a.out, console: r.a.console}
	cmd, args, err := fresh.root().Find(r.a.args)
	if err == nil {
		err = cmd.ParseFlags(args)
	}
	if err == nil {
		fresh.origins, err = config.Settle(cmd)
	}
	var values map[string]string
	if err == nil {
		values = flagValues(cmd) // before check fills in what was not given
		err = fresh.serving.check()
	}
	if err != nil {
		return did, fmt.Errorf("the settings stay as they are: %w%s", err, fresh.origins.Behind(cmd.Flags(), err.Error()))
	}
	if r.on == nil {
		return did, glassq.Errorf(glassq.CodeUnavailable, "the settings stay as they are: the server is still starting")
	}
	for _, name := range sortedKeys(values) {
		before, now := r.now[name], values[name]
		change, ok := reloadable[name]
		if before != now && (!ok || r.on.needsRestart(name, before, now, fresh.serving)) {
			did.Restart = append(did.Restart, name)
			continue
		}
		if ok && change(r.a, r.on, fresh.serving) || before != now {
			did.Changed = append(did.Changed, name)
		}
		r.now[name] = now
	}
	return did, nil
}

// hangup is reload for SIGHUP.
func (r *reloader) hangup() {
	outcome := audit.OK
	if _, err := r.reload(); err != nil {
		outcome = string(glassq.CodeBadRequest)
	}
	r.a.serving.audit.Note(context.Background(),
		audit.Entry{Action: rights.Rules[rights.VerbReload].Audit, Who: system, Outcome: outcome})
}

func describeReload(did glassq.Reloaded) string {
	text := "nothing has changed"
	if len(did.Changed) > 0 {
		text = "changed: " + strings.Join(did.Changed, ", ")
	}
	if len(did.Restart) > 0 {
		text += "; only a restart changes " + strings.Join(did.Restart, ", ")
	}
	return text
}

func parseLevel(text string) (level slog.Level, err error) {
	switch text {
	case "debug", "info", "warn", "error":
		return level, level.UnmarshalText([]byte(text))
	}
	return level, usagef("--log-level %s is not one of debug, info, warn, error", text)
}

func (a *app) reloadCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "reload",
		Short: "Have a running server read its settings again",
		Long: `Have a running server read its configuration file again, and the files that it names, as SIGHUP does.
--log-level, --key-file, --tls-cert and --tls-key, the tokens of --token-file, --max-body and --min-free change
at once; for other settings that have changed it is said that they need a restart. When a file has a fault, or
a start would fail, nothing changes, and the fault is told.`,
		Example: `  glassq reload`,
		Args:    arguments(0, 0),
	}
	return a.asks(cmd, "print JSON", func(ctx context.Context, q *client.Client, _ []string, asJSON bool) error {
		did, err := q.Reload(ctx)
		if err != nil {
			return err
		}
		return a.answer(asJSON, did, "%s", describeReload(did))
	})
}
