package main

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func (a *app) tokenCmd() *cobra.Command {
	cmd := group("token", "Make, list and end tokens: keys that may do some things with some queues",
		a.tokenNewCmd(), a.tokenSetCmd(), a.tokenLsCmd(), a.tokenRevokeCmd(), a.tokenRotateCmd(), a.tokenWhoamiCmd())
	cmd.Long = `Make, list and end tokens. A token is a key that may do some things (put, work, read, admin) with some queues and
runs, until it expires or is revoked. Tokens lie in a file on the server's machine, which serve reads with
--token-file and follows: what changes there counts within a second, on open connections, too. The file has
digests of the secrets and not the secrets.

Clients send a token as they send the server's key: --key-file, the header Authorization: Bearer, or the login
of the memcached door. What each scope may do is told in docs/security.md.`
	return cmd
}

// withTokens makes cmd a command about a file of tokens, with the flag that names it. It returns cmd.
func withTokens(cmd *cobra.Command, do func(file string, args []string) error) *cobra.Command {
	file := cmd.Flags().String("token-file", "", "`file` of tokens, the one that serve has")
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		if *file == "" {
			return usagef("--token-file is missing: name the file of tokens, the one that serve --token-file has")
		}
		return do(*file, args)
	}
	return cmd
}

// secretFlag is the flag that names a file for a token.
func secretFlag(cmd *cobra.Command, path *string) {
	cmd.Flags().StringVar(path, "out", "", "new `file` for the token, that only you can read; default is standard output")
}

// newSecretFile makes the file for a token, before there is one; nil stands for standard output.
func newSecretFile(path string) (*os.File, error) {
	if path == "" {
		return nil, nil
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil, usagef("%s is there already; remove it, or name another --out", path)
	}
	if err != nil {
		return nil, usagef("--out: %w", err)
	}
	return f, nil
}

// writeSecret hands out a token; err is what went wrong with making it, and then the file goes
// away.
func (a *app) writeSecret(f *os.File, text string, err error) error {
	if f == nil {
		if err != nil {
			return err
		}
		return a.printf("%s\n", text)
	}
	if err == nil {
		_, err = fmt.Fprintln(f, text)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// A lifetime is a flag like 90d or 12h; 0 is for ever.
type lifetime time.Duration

func (l *lifetime) String() string {
	d := time.Duration(*l)
	const day = 24 * time.Hour
	switch {
	case d == 0:
		return "never"
	case d%day == 0:
		return strconv.FormatInt(int64(d/day), 10) + "d"
	}
	return d.String()
}

func (l *lifetime) Set(s string) error {
	if s == "never" {
		*l = 0
		return nil
	}
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.ParseFloat(days, 64)
		if err != nil || !(n > 0 && n <= math.MaxInt64/float64(25*time.Hour)) {
			return errors.New("not a time like 90d or 12h, or never")
		}
		*l = lifetime(n * float64(24*time.Hour))
		return nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 {
		return errors.New("not a time like 90d or 12h, or never")
	}
	*l = lifetime(d)
	return nil
}

func (l *lifetime) Type() string { return "time" }

// from is the end of a lifetime that begins at now; zero for none.
func (l *lifetime) from(now time.Time) time.Time {
	if *l == 0 {
		return time.Time{}
	}
	return now.Add(time.Duration(*l)).UTC().Truncate(time.Second)
}

// until is how an end is told to people.
func until(end time.Time) string {
	if end.IsZero() {
		return "never"
	}
	return end.UTC().Format("2006-01-02 15:04 UTC")
}
