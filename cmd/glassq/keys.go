package main

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/client"
	"github.com/glassq/glassq/internal/plain"
	"github.com/glassq/glassq/internal/report"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// keyFlags say what a queue keeps of the keys of its tasks.
type keyFlags struct {
	fair                                  bool
	weight, concurrency, burst, costBurst []string
	rate, costRate, reset                 []string
}

func (k *keyFlags) flags(fs *pflag.FlagSet) {
	fs.BoolVar(&k.fair, "fair", false, "go round among the keys of the tasks, by their weights; =false ends that")
	for _, f := range []struct {
		list       *[]string
		name, text string
	}{
		{&k.weight, "key-weight", "hand-outs of a key in its turn, 1 to 1000; KEY=N says it of one key, and acme*=N of those that begin so"},
		{&k.concurrency, "key-concurrency", "most leases of a key; 0 no limit; also KEY=N"},
		{&k.rate, "key-rate", "most hand-outs of a key, like 10/s, 60/m or 1000/h; 0 no limit; also KEY=RATE"},
		{&k.costRate, "key-cost-rate", "most cost of a key, like 90000/m; 0 no limit; also KEY=RATE"},
		{&k.burst, "key-burst", "hand-outs that may go at once after a rest; also KEY=N"},
		{&k.costBurst, "key-cost-burst", "cost that may go at once after a rest; also KEY=N"},
		{&k.reset, "key-reset", "forget all that is said of that key or prefix alone"},
	} {
		fs.StringArrayVar(f.list, f.name, nil, f.text)
	}
}

// change adds to c what was asked for.
func (k *keyFlags) change(fs *pflag.FlagSet, c *glassq.SettingsChange) error {
	if fs.Changed("fair") {
		c.Fair = &k.fair
	}
	rules := glassq.KeyRules{Overrides: map[string]glassq.KeyLimits{}}
	for _, key := range k.reset {
		rules.Overrides[key] = glassq.KeyLimits{}
	}
	number := func(v string) (*float64, error) {
		n, err := strconv.ParseFloat(v, 64)
		return &n, err
	}
	whole := func(v string) (*int, error) {
		n, err := strconv.Atoi(v)
		return &n, err
	}
	rate := func(v string) (*glassq.KeyRate, error) {
		r := glassq.KeyRate(v)
		_, err := r.PerSecond()
		return &r, err
	}
	for _, f := range []struct {
		name string
		like string
		list []string
		set  func(l *glassq.KeyLimits, v string) error
	}{
		{"key-weight", "3", k.weight, func(l *glassq.KeyLimits, v string) (err error) { l.Weight, err = whole(v); return }},
		{"key-concurrency", "4", k.concurrency, func(l *glassq.KeyLimits, v string) (err error) { l.Concurrency, err = whole(v); return }},
		{"key-rate", "10/s, 60/m or 1000/h", k.rate, func(l *glassq.KeyLimits, v string) (err error) { l.Rate, err = rate(v); return }},
		{"key-cost-rate", "90000/m", k.costRate, func(l *glassq.KeyLimits, v string) (err error) { l.CostRate, err = rate(v); return }},
		{"key-burst", "10", k.burst, func(l *glassq.KeyLimits, v string) (err error) { l.Burst, err = number(v); return }},
		{"key-cost-burst", "20000", k.costBurst, func(l *glassq.KeyLimits, v string) (err error) { l.CostBurst, err = number(v); return }},
	} {
		for _, text := range f.list {
			key, value, one := "", text, false
			if i := strings.LastIndexByte(text, '='); i >= 0 {
				key, value, one = text[:i], text[i+1:], true
			}
			l := rules.KeyLimits
			if one {
				l = rules.Overrides[key]
			}
			if err := f.set(&l, value); err != nil || value == "" || one && key == "" {
				return usagef("--%s %s: want a value like %s, or KEY=VALUE", f.name, text, f.like)
			}
			if one {
				rules.Overrides[key] = l
			} else {
				rules.KeyLimits = l
			}
		}
	}
	if rules.KeyLimits != (glassq.KeyLimits{}) || len(rules.Overrides) > 0 {
		c.Keys = &rules
	}
	return nil
}

// keysLine is what settings say of keys, for people; "" for nothing.
func keysLine(s glassq.Settings) string {
	line := ""
	if s.Fair {
		line += ", fair"
	}
	if s.Keys != nil {
		text, _ := json.Marshal(s.Keys) // numbers and texts cannot fail
		line += ", keys " + plain.Text(text)
	}
	return line
}

func (a *app) keysCmd() *cobra.Command {
	var release string
	var count int
	cmd := &cobra.Command{
		Use:   "keys QUEUE",
		Short: "Show the keys of a queue, and what holds them back",
		Long: `Show the keys of a queue: how many of its tasks are ready and leased, what is left in the buckets of
its rates, until when it is held or halted, and why. A key without tasks is shown while a hold, a halt, a
debt or a bucket that fills is remembered.`,
		Example: `  glassq keys tasks
  glassq keys tasks --release api.example.com`,
		Args: arguments(1, 1),
	}
	fs := cmd.Flags()
	fs.StringVar(&release, "release", "", "end the hold and the halt of this `key`")
	fs.IntVarP(&count, "count", "n", 100, "how many at most; 0 all")
	return a.asks(cmd, "print one JSON object per key", func(ctx context.Context, q *client.Client, args []string, asJSON bool) error {
		queue := args[0]
		if count < 0 {
			return usagef("-n %d is negative", count)
		}
		if release != "" {
			if err := q.ReleaseKey(ctx, queue, release); err != nil {
				return err
			}
			return a.answer(asJSON, map[string]any{"queue": queue, "released": release}, "%s: nothing holds or halts %s any more",
				queue, plain.Text([]byte(release)))
		}
		return lister[glassq.KeyInfo]{
			each: func(one func(*glassq.KeyInfo) error) error { return eachKey(ctx, q, queue, count, one) },
			head: "READY\tLEASED\tOF\tTOKENS\tCOST\tWAITS FOR\tKEY",
			row: func(k *glassq.KeyInfo) []any {
				return []any{k.Ready, k.Leased, most(k.Concurrency), left(k.Tokens), left(k.CostTokens), keyWaits(k),
					plain.Text([]byte(k.Key))}
			},
		}.print(a, asJSON)
	})
}

// eachKey calls fn for up to most keys of a queue, in their order; most 0 is all.
func eachKey(ctx context.Context, q *client.Client, queue string, most int, fn func(*glassq.KeyInfo) error) error {
	const page = 1000
	for after, n := "", 0; most == 0 || n < most; {
		size := page
		if most > 0 {
			size = min(size, most-n)
		}
		keys, err := q.Keys(ctx, queue, after, size)
		if err != nil {
			return err
		}
		for i := range keys {
			if err := fn(&keys[i]); err != nil {
				return err
			}
		}
		if len(keys) < size {
			return nil
		}
		n, after = n+len(keys), keys[len(keys)-1].Key
	}
	return nil
}

func most(n int) string {
	if n == 0 {
		return "-"
	}
	return strconv.Itoa(n)
}

func left(tokens *float64) string {
	if tokens == nil {
		return "-"
	}
	return strconv.FormatFloat(*tokens, 'f', 1, 64)
}

// keyWaits is what a key waits for, for people.
func keyWaits(k *glassq.KeyInfo) string {
	if k.HeldUntil == 0 && k.Halted.Now() {
		return glance([]byte(k.Halted.String()))
	}
	if k.HeldUntil == 0 {
		return k.Why
	}
	text := "held until " + time.UnixMilli(k.HeldUntil).Format(time.TimeOnly)
	if in := time.Until(time.UnixMilli(k.HeldUntil)); in > 0 {
		text = "held for " + report.Short(in)
	}
	if k.HeldFor != "" {
		text += ": " + glance([]byte(k.HeldFor))
	}
	return text
}
