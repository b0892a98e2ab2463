package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/client"
	"github.com/glassq/glassq/internal/cli/config"
	"github.com/glassq/glassq/internal/disk"
	"github.com/glassq/glassq/internal/jetstream"
	"github.com/glassq/glassq/internal/plain"
	"github.com/glassq/glassq/internal/report"
	"github.com/glassq/glassq/internal/stores"
	"github.com/glassq/glassq/internal/wal"
	"github.com/spf13/cobra"
)

// slowSync is a sync time that makes a lone client wait noticeably.
const slowSync = 20 * time.Millisecond

func (a *app) doctorCmd() *cobra.Command {
	var data, minFree, store string
	var watch []string
	var r remote
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check the disk, the system and a server",
		Long: `Check what a server needs: whether serve accepts its settings, from the configuration file and the
environment; how fast the disk syncs, the room on it, the number of files, ports and the clock; with
--server also what a running server says and whether its queues of results are read. Without --data it is
the folder of those settings; where no server has run the disk is left out. With --store nats://…, or where
the settings have one, the NATS servers are looked at instead of a disk: whether they answer, sync what they
confirm and have room (with --nats-monitor), and how the streams of the store are set. Prints a line per check: ok, warn or FAIL.

Exit codes: 0 no check failed, 1 one did.`,
		Example: "  glassq doctor --data d\n  glassq doctor --data d --server http://127.0.0.1:5080\n" +
			"  glassq doctor --store nats://a:4222,b:4222,c:4222/main --nats-monitor http://a:8222,http://b:8222,http://c:8222",
		Args: arguments(0, 0),
	}
	cmd.Flags().StringVar(&data, "data", "", "`folder` of the data; default $XDG_STATE_HOME/glassq")
	cmd.Flags().StringVar(&store, "store", "", "`URL` of a store of several machines, as given to serve")
	cmd.Flags().StringSliceVar(&watch, "nats-monitor", nil, "`URL` of the monitoring port of each NATS server")
	cmd.Flags().StringVar(&minFree, "min-free", "", "`size` or share as given to serve")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object per check")
	r.flags(cmd)
	var settled error // what is wrong with the file or the environment is a finding, not the end
	cmd.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		_, settled = config.Settle(cmd)
		a.begun = true
		return nil
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		d := doctor{a: a, json: asJSON}
		d.config(cmd, settled)
		if store == "" && data == "" && stores.Remote(a.serving.data) {
			store = a.serving.data
		}
		if len(watch) == 0 {
			watch = a.serving.monitors
		}
		if store != "" {
			return d.cluster(cmd, store, watch, &r)
		}
		if data == "" && a.serving.data != stores.Memory {
			data = a.serving.data
		}
		dir, err := dataFolder(data)
		if err != nil {
			return err
		}
		usual, _ := dataFolder("") // without a home folder there is none
		var mark disk.Watermark
		if minFree != "" {
			if mark, err = parseWatermark(minFree); err != nil {
				return usagef("--min-free: %w", err)
			}
		}
		if _, err := os.Stat(dir); dir == usual && errors.Is(err, fs.ErrNotExist) {
			d.say("ok", "data", "no server has run on this machine: there is no %s, which serve would make; its disk is looked at with --data DIR", dir)
		} else {
			d.disk(dir, mark)
		}
		return d.rest(cmd, &r)
	}
	return cmd
}

// rest looks at the system and a server, and returns the verdict.
func (d *doctor) rest(cmd *cobra.Command, r *remote) error {
	d.system()
	if cmd.Flags().Changed("server") {
		if err := d.a.oneShot(cmd, r, func(q *client.Client) error { return d.server(cmd, q) }); err != nil {
			d.say("FAIL", "server", "%s", sentence(err))
		}
	}
	if d.failed {
		return exit(exitUnexpected)
	}
	return nil
}

// cluster looks at a store of several machines instead of a disk.
func (d *doctor) cluster(cmd *cobra.Command, url string, monitors []string, r *remote) error {
	at, err := jetstream.Parse(url)
	if err != nil {
		return usagef("--store: %w", err)
	}
	for _, f := range jetstream.Examine(cmd.Context(), at, jetstream.Options{Monitors: monitors}) {
		d.say(f.Level, f.What, "%s", f.Text)
	}
	return d.rest(cmd, r)
}

type doctor struct {
	a      *app
	json   bool
	failed bool
}

func (d *doctor) say(level, what, format string, args ...any) {
	d.failed = d.failed || level == "FAIL"
	text := fmt.Sprintf(format, args...)
	if d.json {
		d.a.printJSON(map[string]string{"check": what, "verdict": strings.ToLower(level), "says": text})
		return
	}
	d.a.printf("%-5s %-8s %s\n", level, what, text)
}

// config checks the settings that serve would have. settled is what is wrong with those of doctor
// itself.
func (d *doctor) config(cmd *cobra.Command, settled error) {
	if settled != nil {
		d.say("FAIL", "config", "%s", sentence(settled))
		return
	}
	for _, text := range config.Misspelt(cmd.Root(), os.Environ()) {
		d.say("warn", "config", "%s", text)
	}
	path, named := config.Path(cmd.Flags(), os.LookupEnv)
	c, err := config.Load(cmd.Root(), path, named)
	if err == nil {
		serve, _ := config.CommandAt(cmd.Root(), []string{"serve"})
		serve.InheritedFlags() // adds those of its parents to its own
		var origins config.Origins
		if origins, err = c.Fill(serve, os.LookupEnv); err == nil {
			if err = d.a.serving.check(); err != nil {
				err = fmt.Errorf("%w%s", err, origins.Behind(serve.Flags(), err.Error()))
			}
		}
	}
	if err != nil {
		d.say("FAIL", "config", "serve would refuse to start: %s", sentence(err))
		return
	}
	if path = c.Path; path == "" {
		path = "no file"
	}
	d.say("ok", "config", "%s; serve accepts its settings (glassq config serve lists them)", path)
	d.mode(d.a.serving.sync, "serve is set to")
	d.secrets(d.a.serving)
}

// secrets checks the key and the certificate that serve would have.
func (d *doctor) secrets(f *serveFlags) {
	if f.cert != nil {
		found := f.cert.Check(time.Now())
		for _, x := range found {
			level := "warn"
			if x.Fatal {
				level = "FAIL"
			}
			d.say(level, "tls", "certificate %s: %s", f.tlsCert, x.Text)
		}
		if len(found) == 0 {
			d.say("ok", "tls", "%s", f.cert.Says())
		}
	}
	for _, text := range f.warnings {
		if !strings.HasPrefix(text, "certificate ") {
			d.say("warn", "key", "%s", text)
		}
	}
}

// mode says what a sync mode gives up.
func (d *doctor) mode(sync, who string) {
	switch sync {
	case disk.SyncNever:
		d.say("warn", "sync", "%s --sync never: a power cut or a crash of the system may lose anything that was answered OK since; only --sync always keeps all of it", who)
	case disk.SyncInterval:
		d.say("warn", "sync", "%s --sync interval: a power cut may lose what was answered OK in the last tenth of a second; only --sync always keeps all of it", who)
	case "memory":
		d.say("warn", "sync", "%s --store mem: nothing outlives the process", who)
	}
}

func (d *doctor) disk(dir string, w disk.Watermark) {
	if _, err := os.Stat(dir); err != nil {
		d.say("FAIL", "data", "%v; serve makes it, or name another --data", err)
		return
	}
	p50, p99, err := wal.SyncTimes(dir)
	switch {
	case err != nil:
		d.say("FAIL", "sync", "%v", err)
	case p50 > slowSync:
		d.say("warn", "sync", "p50 %s, p99 %s of 4 KiB written and synced: a lone client waits as long for each put",
			report.Short(p50), report.Short(p99))
	default:
		d.say("ok", "sync", "p50 %s, p99 %s of 4 KiB written and synced", report.Short(p50), report.Short(p99))
	}
	space, ok := wal.DirFS(dir).(wal.Spacer)
	if !ok {
		d.say("warn", "space", "not known on this system")
		return
	}
	free, total, err := space.Space()
	mark := w.Of(total)
	switch {
	case err != nil:
		d.say("FAIL", "space", "%v", err)
	case free < mark:
		d.say("FAIL", "space", "%d MiB free of %d, and %d are to stay so (serve --min-free): puts are refused", free>>20,
			total>>20, mark>>20)
	default:
		d.say("ok", "space", "%d MiB free of %d; puts are refused below %d", free>>20, total>>20, mark>>20)
	}
	if in, ok := space.(wal.Inoder); ok {
		if free, total, err := in.Inodes(); err == nil && total > 0 && free < 1000 {
			d.say("warn", "inodes", "%d of %d are free, and each file takes one; without any puts are refused", free, total)
		}
	}
}

func (d *doctor) system() {
	if n, ok := fileLimit(); ok {
		if n < 4096 {
			d.say("warn", "files", "at most %d open files, and each connection is one; raise it with ulimit -n", n)
		} else {
			d.say("ok", "files", "at most %d open files", n)
		}
	}
	for _, f := range []struct{ what, path string }{
		{"ports", "/proc/sys/net/ipv4/ip_local_port_range"}, {"backlog", "/proc/sys/net/core/somaxconn"},
	} {
		if b, err := os.ReadFile(f.path); err == nil {
			d.say("ok", f.what, "%s", strings.Join(strings.Fields(string(b)), " to "))
		}
	}
	if ln, err := net.Listen("tcp", "127.0.0.1:0"); err != nil {
		d.say("FAIL", "listen", "%v", err)
	} else {
		ln.Close()
	}
	if now := time.Now(); now.Year() < 2025 {
		d.say("FAIL", "clock", "it says %s; delays and ages go by it", now.Format(time.DateTime))
	} else {
		d.say("ok", "clock", "%s", now.Format(time.RFC3339))
	}
}

func (d *doctor) server(cmd *cobra.Command, q *client.Client) error {
	queues, err := q.Queues(cmd.Context())
	if err != nil {
		return err
	}
	d.say("ok", "server", "answers, %s", plain.Plural(len(queues), "queue", "queues"))
	st, err := q.Stats(cmd.Context())
	if err != nil {
		return err
	}
	if st.Disk != nil {
		d.mode(st.Disk.Sync, "the server runs with")
	}
	if st.Storage != glassq.StorageOK && st.Disk != nil {
		d.say("FAIL", "server", "its storage is %s, %d MiB are free and %d are to stay so: puts are refused until there is room", st.Storage, st.Disk.Free>>20, st.Disk.MinFree>>20)
	}
	if st.Cluster != nil {
		d.gateways(st.Cluster.Gateways)
	}
	for i := range queues {
		n := &queues[i]
		if strings.HasPrefix(n.Name, "results") && n.Ready > 100_000 && n.Books.OK+n.Books.Failed == 0 {
			d.say("warn", "results", "queue %s holds %s results that nobody reads; glassq output reads them, or set its max_bytes", n.Name, plain.Comma(n.Ready))
		}
	}
	return nil
}

// gateways compares how the gateways of a store are set.
func (d *doctor) gateways(list []glassq.GatewaySettings) {
	differ := glassq.DifferentSettings(list)
	if len(differ) == 0 {
		untold := ""
		if len(list) > 1 && list[0].Settings["key-file"] == "set" {
			untold = "; they do not tell whether their keys are the same"
		}
		d.say("ok", "gateways", "%s, set alike%s", plain.Plural(len(list), "gateway", "gateways"), untold)
	}
	for _, name := range differ {
		level, means := "FAIL", "a client that one lets in another refuses, and one that was shut out may still come in"
		if name == "manager-key" {
			level, means = "warn", "tasks of Python programs get other keys at another gateway"
		}
		var at []string
		for _, g := range list {
			at = append(at, g.Host+" "+cmp.Or(strings.TrimSpace(g.Settings[name]), "none"))
		}
		d.say(level, "gateways", "--%s is not the same at all gateways (%s): %s; give each the same", name,
			strings.Join(at, ", "), means)
	}
}
