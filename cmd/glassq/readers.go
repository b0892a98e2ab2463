package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/output"
	"github.com/glassq/glassq/internal/plain"
)

// A runner makes and changes runs: a client or a broker.
type runner interface {
	SetRun(ctx context.Context, name string, c glassq.RunChange) (glassq.Run, error)
}

// introduce has opt tell the server who takes the results of its run, in words for those who come
// later and find none: the file at path, or what else becomes of them.
func introduce(opt *output.Options, q runner, path string) {
	host, err := os.Hostname()
	if err != nil {
		host = "an unnamed host"
	}
	what := path
	if abs, err := filepath.Abs(path); err == nil {
		what = abs
	}
	if path == "" {
		what = "standard output"
		if opt.Format == output.None || opt.W == nil {
			what = "the figures alone"
		}
		what += fmt.Sprintf(" of process %d, at %s", os.Getpid(), time.Now().UTC().Format("2006-01-02 15:04:05 UTC"))
	}
	text := what + " on " + host
	opt.Reader = strings.ToValidUTF8(text[max(0, len(text)-glassq.MaxReason):], "?") // as JSON brings it back
	opt.Found = func(ctx context.Context, run glassq.Run) error {
		if opt.Seen != nil && opt.Seen.Count(run.Name) > 0 && len(run.Readers) == 0 {
			return usagef("%s has %s of another run named %s: nobody has taken any of this one yet, and those at the same positions would be taken for repeats; name another --out",
				path, plain.Plural(opt.Seen.Count(run.Name), "result", "results"), run.Name)
		}
		if _, err := q.SetRun(ctx, run.Name, glassq.RunChange{Reader: opt.Reader}); err != nil {
			return fmt.Errorf("note with run %s where its results go: %w", run.Name, err)
		}
		return nil
	}
}
