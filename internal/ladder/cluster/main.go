// Command cluster starts three NATS servers and two gateways on loopback, runs the programs of
// Glassq through gateways taken at random, and kills one gateway and one server on the way. The
// books of the output are the verdict.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/glassq/glassq/internal/freeport"
	"github.com/glassq/glassq/internal/jetstream/natstest"
)

const (
	runName = "cluster"
	look    = 50 * time.Millisecond // between two looks at what is waited for
	down    = 2 * time.Second       // a server that was killed
	waitFor = 2 * time.Minute
)

func main() {
	binary := flag.String("glassq", "bin/glassq", "the program")
	count := flag.Uint64("n", 20_000, "URLs")
	flag.Parse()
	if err := show(*binary, *count); err != nil {
		fmt.Fprintln(os.Stderr, "cluster:", err)
		os.Exit(1)
	}
}

// A gateway is one server of Glassq, always at the same address.
type gateway struct {
	args []string
	url  string
	cmd  *exec.Cmd
}

func show(binary string, count uint64) (err error) {
	dir, err := os.MkdirTemp("", "glassq-cluster-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	var started []*exec.Cmd
	nodes := &natstest.Cluster{}
	start := func(args ...string) (*exec.Cmd, error) {
		cmd := exec.Command(binary, args...)
		cmd.Stderr = os.Stderr
		started = append(started, cmd)
		return cmd, cmd.Start()
	}
	defer func() {
		for _, cmd := range started {
			if cmd.Process != nil && cmd.ProcessState == nil {
				cmd.Process.Kill()
				cmd.Wait()
			}
		}
		nodes.Stop()
	}()
	server, err := natstest.Binary()
	if err != nil {
		return err
	}
	if nodes, err = natstest.Start(server, dir, 3, natstest.Options{}); err != nil {
		nodes = &natstest.Cluster{}
		return err
	}
	say("three NATS servers, as one store: %s", nodes.URL("main"))

	ports, err := freeport.Addresses(3)
	if err != nil {
		return err
	}
	var gateways []*gateway
	for i, addr := range ports[:2] {
		g := &gateway{url: "http://" + addr, args: []string{"serve", "--store", nodes.URL("main"), "--http", addr,
			"--memcached", "off", "--manager", "off", "--data", filepath.Join(dir, fmt.Sprint("g", i+1))}}
		for _, m := range nodes.Monitors() {
			g.args = append(g.args, "--nats-monitor", m)
		}
		if g.cmd, err = start(g.args...); err != nil {
			return err
		}
		gateways = append(gateways, g)
	}
	for _, g := range gateways {
		if err := wait(func() bool { return answers(g.url + "/readyz") }); err != nil {
			return fmt.Errorf("gateway %s is not ready: %w", g.url, err)
		}
	}
	anyOf := func() string { return gateways[rand.IntN(2)].url }
	target := ports[2]
	if _, err := start("target", "--listen", target); err != nil {
		return err
	}
	out, err := start("output", "--server", anyOf(), "--run", runName, "--out", filepath.Join(dir, "results.ndjson"), "--quiet")
	if err != nil {
		return err
	}
	for _, args := range [][]string{{"work", "http"}, {"work", "http"},
		{"dispatch", "http://" + target + "/?q={0}", "-n", strconv.FormatUint(count, 10), "--run", runName}} {
		if _, err := start(append(args, "--server", anyOf(), "--quiet")...); err != nil {
			return err
		}
	}
	killed, other := gateways[0], gateways[1]
	if rand.IntN(2) == 0 {
		killed, other = other, killed
	}
	if err := wait(func() bool { return done(other.url) >= count/5 }); err != nil {
		return fmt.Errorf("the work does not get on: %w", err)
	}
	say("kill -9 of gateway %s, with %d of %d done", killed.url, done(other.url), count)
	killed.cmd.Process.Kill()
	killed.cmd.Wait()
	if killed.cmd, err = start(killed.args...); err != nil {
		return err
	}
	if err := wait(func() bool { return done(other.url) >= count/2 }); err != nil {
		return fmt.Errorf("the work does not get on without a gateway: %w", err)
	}
	n := nodes.Nodes[rand.IntN(3)]
	say("kill -9 of NATS server %s, with %d of %d done", n.Name, done(other.url), count)
	n.Kill()
	time.Sleep(down)
	if err := n.Start(); err != nil {
		return err
	}
	if err := out.Wait(); err != nil {
		return fmt.Errorf("the output ended with %w", err)
	}
	say("the books balance")
	return nil
}

func say(format string, args ...any) { fmt.Fprintf(os.Stderr, "cluster: "+format+"\n", args...) }

// wait waits until something is so.
func wait(is func() bool) error {
	for began := time.Now(); time.Since(began) < waitFor; time.Sleep(look) {
		if is() {
			return nil
		}
	}
	return errors.New("it was waited for long enough")
}

func answers(url string) bool {
	resp, err := http.Get(url)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// done is how many tasks of the run have ended, as far as a gateway says.
func done(url string) uint64 {
	resp, err := http.Get(url + "/v1/runs/" + runName)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	var run struct {
		Books struct {
			OK     uint64 `json:"ok"`
			Failed uint64 `json:"failed"`
		} `json:"books"`
	}
	if json.NewDecoder(resp.Body).Decode(&run) != nil {
		return 0
	}
	return run.Books.OK + run.Books.Failed
}
