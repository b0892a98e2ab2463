package main

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/whole"
	"github.com/spf13/cobra"
)

// shim is what Python finds first under glassq py.
//
//go:embed py/*.py
var shim embed.FS

type pyFlags struct {
	python, data, http string
	retry              time.Duration
	queues             map[string]string
	insecure           []string
	serverFor          bool
}

func (a *app) pyCmd() *cobra.Command {
	var f pyFlags
	cmd := &cobra.Command{
		Use:   "py SCRIPT [ARG…]",
		Short: "Run a Python program, its multiprocessing manager being Glassq",
		Long: `Run a Python program that shares queues through multiprocessing.managers.BaseManager as it is, the one that starts the
manager too: start() and get_server().serve_forever() use the Glassq server at the manager's address, and start one
if none listens there. It goes on when the program ends, and so do its queues: shutdown() does nothing. The queues
are those that are registered as get_<x>_queue; no callable is called. A proxy whose server was killed connects
again and repeats its call, which counts once. Other managers, and all else, are as with python.

The exit code is the program's; 2 for wrong usage before it began.`,
		Example: `  glassq py task_master.py
  glassq py task_worker.py
  glassq py --python python3.13 -- -X dev task_master.py`,
		Args: arguments(1, -1),
	}
	fs := cmd.Flags()
	fs.SetInterspersed(false) // what follows the script is the script's
	fs.StringVar(&f.python, "python", "", "`interpreter`, 3.6 or newer; default python3, or python, of PATH")
	fs.StringVar(&f.data, "data", "", "`folder` of a server that is started: its data, key and log; default $XDG_STATE_HOME/glassq/py/PORT")
	fs.StringVar(&f.http, "http", "", "`address` of the HTTP door of a server that is started; default 127.0.0.1:5080, or a free port")
	fs.DurationVar(&f.retry, "retry", time.Minute, "how long a call waits for a server that is away")
	fs.StringToStringVar(&f.queues, "manager-queue", nil, "`name=queue` that the program registers beside get_QUEUE_queue")
	fs.StringSliceVar(&f.insecure, "insecure", nil, "manager: a server that is started can be reached from other machines, where the program says so; nothing is encrypted there")
	fs.BoolVar(&f.serverFor, "server-for", false, "start a server for the address that is the argument, the key on standard input")
	fs.MarkHidden("server-for") // it exists: no error
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		for name, queue := range f.queues {
			if name == "" || glassq.CheckName(queue) != nil {
				return usagef("--manager-queue %s=%s: write the registered name, = and the name of a queue", name, queue)
			}
		}
		for _, door := range f.insecure {
			if door != "manager" {
				return usagef("--insecure %s: a program under glassq py uses the manager door alone; write --insecure manager", door)
			}
		}
		if f.retry < 0 {
			return usagef("--retry %v is negative", f.retry)
		}
		if f.serverFor {
			reply, err := a.serverFor(&f, args[0])
			if err != nil {
				return err
			}
			return a.printf("%s\n", reply)
		}
		return f.run(args)
	}
	return cmd
}

// run runs Python in the place of this program.
func (f *pyFlags) run(args []string) error {
	python, err := f.interpreter()
	if err != nil {
		return err
	}
	state, err := stateDir()
	if err != nil {
		return err
	}
	folder, err := writeShim(filepath.Join(state, "py", "shim"))
	if err != nil {
		return fmt.Errorf("write what Python needs: %w", err)
	}
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	command := []string{exe, "py", "--server-for"}
	for flag, value := range map[string]string{"--data": f.data, "--http": f.http, "--insecure": strings.Join(f.insecure, ",")} {
		if value != "" {
			command = append(command, flag, value)
		}
	}
	for name, queue := range f.queues {
		command = append(command, "--manager-queue", name+"="+queue)
	}
	said, err := json.Marshal(map[string]any{"command": command, "retry": f.retry.Seconds(),
		"names": append([]string{}, slices.Sorted(maps.Keys(f.queues))...)})
	if err != nil {
		return err
	}
	path := folder
	if more := os.Getenv("PYTHONPATH"); more != "" {
		path += string(filepath.ListSeparator) + more
	}
	err = become(python, append([]string{python}, args...), append(os.Environ(), "PYTHONPATH="+path, "GLASSQ_PY="+string(said)))
	return fmt.Errorf("run %s: %w", python, err)
}

// interpreter finds Python.
func (f *pyFlags) interpreter() (string, error) {
	if f.python != "" {
		path, err := exec.LookPath(f.python)
		if err != nil {
			return "", usagef("--python: %w", err)
		}
		return path, nil
	}
	for _, name := range []string{"python3", "python"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", usagef("there is no python3 in PATH; install one, or name it with --python")
}

// writeShim writes the shim of this version into a folder of its own, which stays: processes that a
// program leaves behind need it, too.
func writeShim(parent string) (string, error) {
	folder := filepath.Join(parent, version())
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return "", err
	}
	files, err := shim.ReadDir("py")
	if err != nil {
		return "", err
	}
	for _, file := range files {
		text, err := shim.ReadFile("py/" + file.Name())
		if err == nil {
			err = writeWhole(filepath.Join(folder, file.Name()), text)
		}
		if err != nil {
			return "", err
		}
	}
	return folder, nil
}

// writeWhole has a file hold text, which others see as a whole, and nobody but the user.
func writeWhole(path string, text []byte) error {
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, text) {
		return nil
	}
	return whole.Write(path, filepath.Dir(path), text, 0o600)
}

// A pyReply tells the shim where the server is.
type pyReply struct {
	Host string `json:"host"` // "" for a Unix socket
	Ours bool   `json:"ours"` // glassq py started it, and may do so again
	Note string `json:"note"` // for people
}

const (
	pyDial  = time.Second
	pyPause = 20 * time.Millisecond
)

// serverFor starts a server for the manager at addr unless one listens there. It goes on when this
// program and its terminal have ended. It waits as long as the server takes to open its store.
func (a *app) serverFor(f *pyFlags, addr string) (reply []byte, err error) {
	key, err := io.ReadAll(io.LimitReader(a.in, 64<<10))
	if err != nil {
		return nil, err
	}
	if k := bytes.TrimRight(key, "\r\n"); len(k) != len(key) || len(bytes.TrimSpace(k)) == 0 {
		return nil, usagef("the authkey is empty, white space, or ends in a line feed; give the manager another one")
	}
	r := pyReply{}
	listen, network, name, closed := addr, "unix", "socket", false
	if !isSocketPath(addr) {
		host, port, err := net.SplitHostPort(withBrackets(addr))
		if err != nil {
			return nil, usagef("%s is not an address like %s", addr, defaultManager)
		}
		if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
			closed = len(f.insecure) == 0
			host = map[bool]string{true: "127.0.0.1", false: "0.0.0.0"}[closed]
		}
		listen, network, name = net.JoinHostPort(host, port), "tcp", port
		if r.Host = host; host == "0.0.0.0" {
			r.Host = "127.0.0.1"
		}
		addr = net.JoinHostPort(r.Host, port)
	}
	folder := f.data
	if folder == "" {
		state, err := stateDir()
		if err != nil {
			return nil, err
		}
		folder = filepath.Join(state, "py", name)
	}
	pidFile := filepath.Join(folder, "pid")
	var pid int
	var web string
	started := false
	if !reaches(network, addr) {
		pid, web, err = f.startServer(folder, listen, key)
		if started = err == nil; !started && !reaches(network, addr) { // another program may have been quicker
			return nil, err
		}
	}
	if started {
		if err := os.WriteFile(pidFile, []byte(strconv.Itoa(pid)), 0o600); err != nil {
			return nil, err
		}
		r.Ours = true
		r.Note = fmt.Sprintf("started glassq serve, process %d, for %s; its data, key and log are in %s. It goes on when the program ends; "+
			"kill %d stops it. Dashboard: http://%s", pid, addr, folder, pid, web)
		if closed {
			r.Note += ". The program listens for every machine, this server for this one alone: glassq py --insecure manager opens it"
		}
		return json.Marshal(r)
	}
	text, err := os.ReadFile(pidFile)
	if err == nil {
		pid, err = strconv.Atoi(string(text))
	}
	r.Ours = err == nil && isRunning(pid)
	r.Note = "uses the server that listens at " + addr
	return json.Marshal(r)
}

// withBrackets has the host of an IPv6 address in brackets, which Python's addresses lack.
func withBrackets(addr string) string {
	if at := strings.LastIndexByte(addr, ':'); at > 0 && strings.Contains(addr[:at], ":") && addr[0] != '[' {
		return net.JoinHostPort(addr[:at], addr[at+1:])
	}
	return addr
}

func reaches(network, addr string) bool {
	nc, err := net.DialTimeout(network, addr, pyDial)
	if err == nil {
		nc.Close()
	}
	return err == nil
}

// startServer starts glassq serve, and returns when its doors are open: its process, and where the
// dashboard is.
func (f *pyFlags) startServer(folder, listen string, key []byte) (pid int, web string, err error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return 0, "", err
	}
	keyFile := filepath.Join(folder, "key")
	if err := writeWhole(keyFile, key); err != nil {
		return 0, "", err
	}
	log, err := openLog(filepath.Join(folder, "log"))
	if err != nil {
		return 0, "", err
	}
	defer log.Close()
	began, err := log.Seek(0, io.SeekEnd)
	if err != nil {
		return 0, "", err
	}
	exe, err := os.Executable()
	if err != nil {
		return 0, "", err
	}
	cmd := exec.Command(exe, "serve", "--data", filepath.Join(folder, "data"), "--manager", listen, "--key-file", keyFile,
		"--memcached", closedDoor, "--http", f.httpAddress())
	for name, queue := range f.queues {
		cmd.Args = append(cmd.Args, "--manager-queue", name+"="+queue)
	}
	if len(f.insecure) > 0 {
		cmd.Args = append(cmd.Args, "--insecure", "manager")
	}
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "GLASSQ_") })
	cmd.Stderr = log
	detach(cmd)
	if err := cmd.Start(); err != nil {
		return 0, "", err
	}
	ended := make(chan struct{})
	go func() { // ends with the server, or with this program
		cmd.Wait()
		close(ended)
	}()
	for over := false; ; {
		said := make([]byte, 64<<10)
		n, err := log.ReadAt(said, began)
		if err != nil && err != io.EOF {
			return 0, "", err
		}
		lines := strings.TrimSpace(string(said[:n]))
		switch {
		case strings.Contains(lines, "Python manager on "):
			return cmd.Process.Pid, listening.FindString(lines), nil
		case over:
			return 0, "", fmt.Errorf("start a server: %s", lines[strings.LastIndexByte(lines, '\n')+1:])
		}
		select {
		case <-ended:
			over = true // and there is nothing more in the log after another look
		case <-time.After(pyPause):
		}
	}
}

// httpAddress is that of --http, or the usual one if it is free.
func (f *pyFlags) httpAddress() string {
	if f.http != "" {
		return f.http
	}
	const usual = "127.0.0.1:5080"
	ln, err := net.Listen("tcp", usual)
	if err != nil {
		return "127.0.0.1:0"
	}
	ln.Close()
	return usual
}

// longLog is from where on a log of earlier servers is begun anew.
const longLog = 1 << 20

func openLog(path string) (*os.File, error) {
	mode := os.O_RDWR | os.O_CREATE | os.O_APPEND
	if info, err := os.Stat(path); err == nil && info.Size() > longLog {
		mode |= os.O_TRUNC
	}
	return os.OpenFile(path, mode, 0o600)
}
