// Package natstest starts real NATS servers as processes on loopback, for tests and for the demo of
// a cluster.
//
// The server is the one of the module in the folder server, built by the go command when it is
// first wanted.
package natstest

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/glassq/glassq/internal/freeport"
)

const (
	readyFor   = 60 * time.Second // that servers have to be ready
	readyPause = 50 * time.Millisecond
)

// Options tunes Start.
type Options struct {
	Lazy  bool   // the servers do not sync what they confirm, as they do when nothing is set
	Store string // largest store of a server, such as 64MB; "" is 10GB
	More  string // lines for the configuration of each server

	Places []Place // of the servers, in their order; those behind the last are on loopback
}

// A Place is where a server runs. The zero value is loopback, and a folder of its own.
type Place struct {
	Folder string   // of its data; "" is one below that of all
	Host   string   // its address, of which it takes the usual ports of NATS; "" is loopback and free ports
	Under  []string // the command that runs the server, such as ip netns exec n1
}

// A Cluster is some servers that know each other.
type Cluster struct {
	Nodes []*Node
}

// A Node is one server as a process, always at the same ports. It is for one goroutine at a time.
type Node struct {
	Name         string
	Addr, Http   string   // of clients and of the monitoring port
	Folder       string   // of its data
	Under        []string // the command that runs the server at its next start, if any
	routes       string
	binary, conf string
	cmd          *exec.Cmd
	ended        chan struct{} // closed when cmd has ended
	said         output
}

// An output keeps what a process says.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (w *output) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.Write(b)
}

// Said is what the server has said in all its lives.
func (n *Node) Said() string {
	n.said.mu.Lock()
	defer n.said.mu.Unlock()
	return n.said.text.String()
}

// Binary builds the server, if it is not built yet, and returns its path.
func Binary() (string, error) {
	dir, err := run("", "list", "-f", "{{.Dir}}", "github.com/glassq/glassq/internal/jetstream/natstest")
	if err != nil {
		return "", err
	}
	return run(filepath.Join(dir, "server"), "tool", "-n", "nats-server")
}

// run runs the go command in a folder and returns what it prints.
func run(dir string, args ...string) (string, error) {
	cmd := exec.Command("go", args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "GOWORK=off")
	var why bytes.Buffer
	cmd.Stderr = &why
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("go %s: %w: %s", strings.Join(args, " "), err, why.String())
	}
	return strings.TrimSpace(string(out)), nil
}

// New starts n servers for a test, which ends them. Without a server the test is left out.
func New(t testing.TB, n int, opt Options) *Cluster {
	t.Helper()
	binary, err := Binary()
	if err != nil {
		t.Skipf("needs the NATS server, which its module mirror has: %v", err)
	}
	c, err := Start(binary, t.TempDir(), n, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Stop()
		for _, node := range c.Nodes {
			if t.Failed() {
				text := node.Said()
				t.Logf("server %s said last:\n%s", node.Name, text[max(0, len(text)-4000):])
			}
		}
	})
	return c
}

// Start starts n servers with their data below dir, and waits until all are ready.
func Start(binary, dir string, n int, opt Options) (*Cluster, error) {
	c := &Cluster{}
	var routes []string
	for i := range n {
		var at Place
		if i < len(opt.Places) {
			at = opt.Places[i]
		}
		ports := []string{at.Host + ":4222", at.Host + ":8222", at.Host + ":6222"}
		if at.Host == "" {
			var err error
			if ports, err = freeport.Addresses(3); err != nil {
				return nil, err
			}
		}
		name := fmt.Sprint("n", i+1)
		node := &Node{Name: name, Addr: ports[0], Http: ports[1], routes: ports[2], binary: binary, Under: at.Under,
			Folder: cmp.Or(at.Folder, filepath.Join(dir, name)), conf: filepath.Join(dir, name+".conf")}
		c.Nodes = append(c.Nodes, node)
		routes = append(routes, "nats://"+ports[2])
	}
	for _, node := range c.Nodes {
		sync := "sync_interval: always"
		if opt.Lazy {
			sync = ""
		}
		conf := fmt.Sprintf("server_name: %s\nlisten: %s\nhttp: %s\njetstream {\n store_dir: %q\n max_file_store: %s\n %s\n}\n%s\n", node.Name,
			node.Addr, node.Http, node.Folder, cmp.Or(opt.Store, "10GB"), sync, opt.More)
		if n > 1 {
			conf += fmt.Sprintf("cluster {\n name: glassq\n listen: %s\n routes: [%s]\n}\n", node.routes, strings.Join(routes, ", "))
		}
		if err := os.WriteFile(node.conf, []byte(conf), 0o600); err != nil {
			return nil, err
		}
	}
	for _, node := range c.Nodes {
		if err := node.Start(); err != nil {
			c.Stop()
			return nil, err
		}
	}
	for _, node := range c.Nodes {
		if err := node.Ready(); err != nil {
			c.Stop()
			return nil, err
		}
	}
	return c, nil
}

// Deaf starts what clients take for a server of that version, and which answers none of their requests.
// It returns its address, and ends with the test.
func Deaf(t testing.TB, version string) (addr string) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() { // ends with ln, and each client with its connection
		for nc, err := ln.Accept(); err == nil; nc, err = ln.Accept() {
			go func() {
				defer nc.Close()
				fmt.Fprintf(nc, "INFO {\"server_id\":\"a\",\"server_name\":\"deaf\",\"version\":%q,\"proto\":1,"+
					"\"headers\":true,\"max_payload\":1048576}\r\n", version)
				for in := bufio.NewScanner(nc); in.Scan(); {
					if strings.HasPrefix(in.Text(), "PING") {
						io.WriteString(nc, "PONG\r\n")
					}
				}
			}()
		}
	}()
	return ln.Addr().String()
}

// URL is that of a store on the servers.
func (c *Cluster) URL(name string) string {
	var hosts []string
	for _, n := range c.Nodes {
		hosts = append(hosts, n.Addr)
	}
	return "nats://" + strings.Join(hosts, ",") + "/" + name
}

// Monitors are the URLs of all monitoring ports.
func (c *Cluster) Monitors() (urls []string) {
	for _, n := range c.Nodes {
		urls = append(urls, "http://"+n.Http)
	}
	return urls
}

// Node finds a server by its name; nil where there is none.
func (c *Cluster) Node(name string) *Node {
	for _, n := range c.Nodes {
		if n.Name == name {
			return n
		}
	}
	return nil
}

// Stop kills all servers that run.
func (c *Cluster) Stop() {
	for _, n := range c.Nodes {
		n.Kill()
	}
}

// Start starts the server, which is not ready yet when it returns.
func (n *Node) Start() error {
	args := append(slices.Clone(n.Under), n.binary, "-c", n.conf)
	n.cmd = exec.Command(args[0], args[1:]...)
	n.cmd.Stdout, n.cmd.Stderr = &n.said, &n.said
	n.cmd.SysProcAttr = withParent()
	if err := n.cmd.Start(); err != nil {
		n.cmd = nil
		return err
	}
	n.ended = make(chan struct{})
	go func(cmd *exec.Cmd, ended chan struct{}) { // ends with the process, which Kill ends
		cmd.Wait()
		close(ended)
	}(n.cmd, n.ended)
	return nil
}

// Pid is the process of the server, which runs.
func (n *Node) Pid() int { return n.cmd.Process.Pid }

// Ready waits until the server is in step with the others.
func (n *Node) Ready() error {
	for began := time.Now(); time.Since(began) < readyFor; {
		resp, err := http.Get("http://" + n.Http + "/healthz")
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-n.ended:
			return fmt.Errorf("server %s ended: %s", n.Name, n.Said())
		case <-time.After(readyPause):
		}
	}
	return errors.New("server " + n.Name + " is not ready")
}

// Resize gives the server another largest store, as Options.Store, while it runs.
func (n *Node) Resize(store string) error {
	text, err := os.ReadFile(n.conf)
	if err != nil {
		return err
	}
	text = regexp.MustCompile(`max_file_store: \S+`).ReplaceAll(text, []byte("max_file_store: "+store))
	if err := os.WriteFile(n.conf, text, 0o600); err != nil {
		return err
	}
	out, err := exec.Command(n.binary, "--signal", fmt.Sprint("reload=", n.cmd.Process.Pid)).CombinedOutput()
	if err != nil {
		return fmt.Errorf("reload server %s: %w: %s", n.Name, err, out)
	}
	return nil
}

// Kill ends the server at once, and waits for its end. One that does not run stays so.
func (n *Node) Kill() {
	if n.cmd == nil {
		return
	}
	n.cmd.Process.Kill()
	<-n.ended
	n.cmd = nil
}
