package main

import (
	"strings"
	"time"

	"github.com/glassq/glassq/internal/cli/config"
	"github.com/glassq/glassq/internal/rights"
	"github.com/spf13/cobra"
)

func (a *app) tokenNewCmd() *cobra.Command {
	var out string
	t := rights.Token{}
	var queues []string
	expires := lifetime(0)
	cmd := &cobra.Command{
		Use:   "new NAME",
		Short: "Make a token and print it, once",
		Long: `Make a token and print it. Nobody can print it again: keep it, or revoke it and make another one.

--may says what it may do: put tasks; work on tasks (reserve, ack, nack, extend); read (look at tasks); admin
(settings, purge, redrive, drop, cancel, and the others). --queue says with which queues and runs: names, or
beginnings of names with a * behind. A token that may use a run may use its queue of results, results.<run>, too.

The token of a Python program that uses the manager door needs --manager: there, a client proves that it has
the key by a digest of key and challenge, so the server keeps these tokens as they are, in a file of their own,
and there are at most 64.

--puts-per-second and --bytes-per-second bound what all holders of the token put together; what is more is
refused with quota, or waits. glassq token set changes them.`,
		Example: `  glassq token new ci --may put --queue 'team-a.*' --expires 90d --token-file tokens --out ci.key`,
		Args:    arguments(1, 1),
	}
	f := cmd.Flags()
	f.StringSliceVar(&t.May, "may", nil, "`scopes`: some of put, work, read, admin")
	f.StringSliceVar(&queues, "queue", []string{"*"}, "`names` of queues and runs, or beginnings with a * behind")
	f.Var(&expires, "expires", "after which time it ends, like 90d or 12h")
	f.BoolVar(&t.Manager, "manager", false, "let it open the Python manager door, too")
	rateFlags(cmd, &t.Rates)
	secretFlag(cmd, &out)
	config.CommandLineOnly(cmd, "may", "queue", "manager", "expires", "out", ratePuts, rateBytes)
	return withTokens(cmd, func(file string, args []string) error {
		if err := checkRates(t.Rates); err != nil {
			return err
		}
		if len(t.May) == 0 {
			return usagef("--may is missing: say what the token may do: put, work, read, admin, or some of them")
		}
		now := time.Now().UTC().Truncate(time.Second)
		t.Name, t.Queues, t.Created, t.Expires = args[0], queues, now, expires.from(now)
		secret, err := newSecretFile(out)
		if err != nil {
			return err
		}
		var text string
		err = rights.Change(file, func(e *rights.Edit) (err error) {
			text, err = e.New(t)
			return err
		})
		if err := a.writeSecret(secret, text, err); err != nil {
			return err
		}
		a.console.Say("glassq token: %s may %s on %s, expires: %s%s", t.Name, strings.Join(t.May, ", "),
			strings.Join(t.Queues, ", "), until(t.Expires), atMost(t.Rates))
		return nil
	})
}
