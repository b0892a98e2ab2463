// Package process is the built-in work that other programs do: a process per task (Exec), or
// children that live long and take a line of JSON per task (Pipe).
//
// A task's data reaches a command as its standard input, as one whole argument, as environment or
// as a line; never as a part of a shell's text. Each child is the leader of a process group of its
// own: a time-out ends the whole group, and a Ctrl-C at the terminal reaches the worker alone,
// which drains. Nothing is lost by what a child does: a task that got no answer goes back to its
// queue. The package does not know queues; it makes handlers for package worker.
package process

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/worker"
)

// killAfter is how long a process group has between SIGTERM and SIGKILL.
const killAfter = 2 * time.Second

// maxFruitless is how many starts in a row come to nothing before the command is taken to be
// broken.
const maxFruitless = 10

// lookUp finds the program of a command and the arguments to start it with, the first of which is
// its name; its error says what is missing. A script that does not name its interpreter is sh's, as
// for execvp.
func lookUp(command []string) (path string, argv []string, err error) {
	if len(command) == 0 || command[0] == "" {
		return "", nil, errors.New("no command to run: name one, as in: /bin/true")
	}
	path, err = exec.LookPath(command[0])
	if err != nil {
		if e, ok := errors.AsType[*exec.Error](err); ok {
			err = e.Err
		}
		return "", nil, fmt.Errorf("command %q: %w", command[0], err)
	}
	if runtime.GOOS != "windows" && isBareScript(path) {
		return shell, append([]string{shell, path}, command[1:]...), nil
	}
	return path, command, nil
}

const shell = "/bin/sh"

// isBareScript tells whether a program is a text that does not begin with #!, which no system
// starts by itself.
func isBareScript(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false // one that may be run and not read is no script
	}
	defer f.Close()
	head := make([]byte, 256)
	n, err := io.ReadFull(f, head)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return false
	}
	return !bytes.HasPrefix(head[:n], []byte("#!")) && bytes.IndexByte(head[:n], 0) < 0
}

// taskEnv begins the names of the variables that tell a command about its task. They are not those
// of glassq's own flags (GLASSQ_ID would be put --id), so that a command can call glassq.
const taskEnv = "GLASSQ_TASK_"

// maxEnvBody is the longest body that goes into the environment as well.
const maxEnvBody = 64 << 10

// appendEnv appends what the environment says of a task.
func appendEnv(env []string, l *glassq.Lease) []string {
	id := l.TaskID()
	if id == "" {
		id = l.Token().String()
	}
	env = append(env,
		taskEnv+"ID="+id,
		taskEnv+"QUEUE="+l.Queue,
		taskEnv+"ATTEMPT="+strconv.Itoa(l.Attempt),
	)
	if l.Type != "" {
		env = append(env, taskEnv+"TYPE="+l.Type)
	}
	if l.Run != "" {
		env = append(env, taskEnv+"RUN="+l.Run)
	}
	if l.Dense {
		env = append(env, taskEnv+"N="+strconv.FormatUint(uint64(l.Position), 10))
	}
	if len(l.Body) <= maxEnvBody {
		env = append(env, taskEnv+"BODY="+string(l.Body))
	}
	if tp := l.Headers["traceparent"]; tp != "" {
		env = append(env, "TRACEPARENT="+tp)
	}
	return slices.DeleteFunc(env, func(v string) bool { return strings.IndexByte(v, 0) >= 0 }) // such a value cannot be passed
}

// ownEnv is the worker's environment without what is said of a task.
func ownEnv() []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, taskEnv) || strings.HasPrefix(v, "TRACEPARENT=") || strings.HasPrefix(v, "GLASSQ_CHILD=")
	})
}

// An ending is how a process ended. Where there are no signals it has none, and no rss.
type ending struct {
	code         int    // exit status, -1 when a signal ended it
	signal       string // name of that signal, "" for none
	signalNumber int    // 0 for none
	user, sys    time.Duration
	rss          int64 // bytes resident at most, 0 when it is not known, as that of a child below the worker's own
}

// again gives a failed task back when it has tries left: retries is how many it has after the
// first. It returns nil when there are none left.
func again(l *glassq.Lease, retries int, err string) error {
	if l.Attempt > retries {
		return nil
	}
	return &worker.NackError{Err: errors.New(err)}
}

// quote shortens text from a child for a sentence.
func quote(b []byte) string {
	const most = 120
	if len(b) > most {
		return fmt.Sprintf("%q…", b[:most])
	}
	return fmt.Sprintf("%q", b)
}
