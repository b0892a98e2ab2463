package main

import (
	"crypto/rand"
	"io"
	"strconv"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/cli/term"
	"github.com/spf13/cobra"
)

func (a *app) putCmd() *cobra.Command {
	var r remote
	var t glassq.Task
	var priority int
	var retry, wait time.Duration
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "put [[QUEUE] BODY]",
		Short: "Put one task by hand",
		Long: `Put one task: the argument; without one, or for -, all of standard input. Of two arguments the first is the
queue. Its id is printed when the task is stored.`,
		Example: `  glassq put http://127.0.0.1:8888/
  glassq put mails ann@example.org
  glassq put --queue mails --wait 1m < mail.json`,
		Args: arguments(0, 2),
	}
	r.flags(cmd)
	fs := cmd.Flags()
	fs.StringVar(&t.Queue, "queue", glassq.DefaultQueue, "`queue` to put to")
	fs.StringVar(&t.ID, "id", "", "id of the task; a second put of it stores nothing")
	fs.StringVar(&t.Run, "run", "", "`name` of the run that counts it")
	fs.StringVar(&t.Type, "type", "", "content type of the body")
	fs.StringVar(&t.Key, "key", "", "`key` of the task, by which the queue shares and limits")
	fs.Uint32Var(&t.Cost, "cost", 0, "what it counts against the cost rate of its key; 0 is 1")
	fs.IntVar(&priority, "priority", 4, "0 lowest to 9 highest")
	fs.DurationVar(&t.Delay, "delay", 0, "time before it is handed out")
	fs.DurationVar(&t.TTL, "ttl", 0, "time after which it is dead if nobody took it; 0 never")
	fs.IntVar(&t.Attempts, "attempts", 0, "most tries; default the queue's, 20")
	fs.StringVar(&t.ResultQueue, "results", "", "`queue` for its result")
	fs.DurationVar(&wait, "wait", 0, "how long to wait for room in a full queue, at most 10m; 0 not at all")
	fs.DurationVar(&retry, "retry", 60*time.Second, "how long to wait for a server that is away")
	fs.BoolVar(&asJSON, "json", false, "print what was done as JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if priority < 0 || priority > 9 {
			return usagef("--priority %d is not 0 to 9", priority)
		}
		if wait < 0 || wait > 10*time.Minute {
			return usagef("--wait %v is not between 0 and 10m", wait)
		}
		t.Priority = glassq.Level(priority)
		if len(args) == 2 {
			if fs.Changed("queue") && t.Queue != args[0] {
				return usagef("--queue %s and the argument %q name two queues; what has spaces or & in it needs quotes", t.Queue, args[0])
			}
			t.Queue, args = args[0], args[1:]
		}
		if err := glassq.CheckName(t.Queue); err != nil {
			return err
		}
		var err error
		if t.Body, err = a.body(args, glassq.HardMaxBody); err != nil {
			return err
		}
		if len(t.Body) > glassq.HardMaxBody {
			return usagef("the body has more than %d bytes", glassq.HardMaxBody)
		}
		q, err := a.dial(cmd, &r, retry)
		if err != nil {
			return err
		}
		defer q.Close()
		given := t.ID
		if given == "" {
			t.ID = rand.Text() // so that a put whose answer was lost may be repeated
		}
		receipts, err := q.PutWait(cmd.Context(), []glassq.Task{t}, wait)
		if err != nil {
			return r.absent(err)
		}
		duplicate := given != "" && receipts[0].Duplicate
		if duplicate {
			a.console.Say("glassq put: %s was put before; nothing was stored", strconv.Quote(given))
		}
		return a.answer(asJSON, map[string]any{"id": t.ID, "queue": t.Queue, "duplicate": duplicate}, "%s", t.ID)
	}
	return cmd
}

// body is what a task is given by hand: the argument, or else, and for -, all of standard input, of
// which at most one byte beyond most is read.
func (a *app) body(args []string, most int64) ([]byte, error) {
	if len(args) == 1 && args[0] != "-" {
		return []byte(args[0]), nil
	}
	if term.IsTerminal(a.in) {
		return nil, usagef("nothing to put: give the body as an argument or on standard input")
	}
	body, err := io.ReadAll(io.LimitReader(a.in, most+1))
	if err != nil {
		return nil, usagef("read standard input: %w", err)
	}
	return body, nil
}
