package main

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/client"
	"github.com/glassq/glassq/internal/audit"
	"github.com/glassq/glassq/internal/cli/config"
	"github.com/glassq/glassq/internal/rights"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// reloadable are the settings of serve that change while it runs, with how. Each takes what was read and checked
// anew, and cannot fail.
var reloadable = map[string]func(*app, *serveFlags){
	"log-level": func(a *app, f *serveFlags) { a.console.SetLevel(f.level) },
}

// A reloader reads the settings of a running server again. It is safe for concurrent use.
type reloader struct {
	a *app

	mu  sync.Mutex
	now map[string]string // the values of flags that are in force
}

func (a *app) newReloader(cmd *cobra.Command) *reloader {
	return &reloader{a: a, now: flagValues(cmd)}
}

func flagValues(cmd *cobra.Command) map[string]string {
	values := map[string]string{}
	cmd.Flags().VisitAll(func(f *pflag.Flag) { values[f.Name] = f.Value.String() })
	return values
}

// reload reads the command line, the environment and the file as a start would. When a start would fail, nothing
// changes.
func (r *reloader) reload() (glassq.Reloaded, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	did := glassq.Reloaded{Changed: []string{}, Restart: []string{}}
	fresh := &app{in: r.a.in, out: r.a.out, console: r.a.console}
	cmd, args, err := fresh.root().Find(r.a.args)
	if err == nil {
		err = cmd.ParseFlags(args)
	}
	if err == nil {
		_, err = config.Settle(cmd)
	}
	var values map[string]string
	if err == nil {
		values = flagValues(cmd) // before check fills in what was not given
		err = fresh.serving.check()
	}
	if err != nil {
		return did, fmt.Errorf("the settings stay as they are: %w", err)
	}
	for _, name := range sortedKeys(values) {
		if values[name] == r.now[name] {
			continue
		}
		if change, ok := reloadable[name]; ok {
			change(r.a, fresh.serving)
			r.now[name] = values[name]
			did.Changed = append(did.Changed, name)
		} else {
			did.Restart = append(did.Restart, name)
		}
	}
	return did, nil
}

// hangup is reload for SIGHUP.
func (r *reloader) hangup() {
	did, err := r.reload()
	outcome := audit.OK
	if err != nil {
		outcome = string(glassq.CodeBadRequest)
	}
	r.a.serving.audit.Note(context.Background(), audit.Entry{Action: rights.Rules[rights.VerbReload].Audit, Who: system, Outcome: outcome})
	if err != nil {
		r.a.console.Note(slog.LevelError, "glassq serve: reload: "+sentence(err), "reload refused", "err", sentence(err))
		return
	}
	r.a.console.Note(slog.LevelInfo, "glassq serve: reload: "+describeReload(did), "reloaded",
		"changed", did.Changed, "restart", did.Restart)
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
	var r remote
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "reload",
		Short: "Have a running server read its settings again",
		Long: `Have a running server read its configuration file again, as SIGHUP does: --log-level changes at once; for
other settings that have changed it is said that they need a restart. When the file has a fault, or a start
would fail, nothing changes, and the fault is told.`,
		Example: `  glassq reload`,
		Args:    arguments(0, 0),
	}
	r.flags(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return a.oneShot(cmd, &r, func(q *client.Client) error {
			did, err := q.Reload(cmd.Context())
			if err != nil {
				return err
			}
			if asJSON {
				return a.printJSON(did)
			}
			return a.printf("%s\n", describeReload(did))
		})
	}
	return cmd
}
