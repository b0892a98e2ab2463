package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/client"
)

// TestPriorityDoors: level 9, no level and level 0 mean the same through every door that can say
// them, and are handed out in this order.
func TestPriorityDoors(t *testing.T) {
	t.Parallel()
	addr := freeAddress(t)
	s := start(t, nil, "serve", "--store", "mem:", "--http", "127.0.0.1:0", "--memcached", addr)
	url := "http://" + s.addr()
	c, err := client.New(url, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	doors := map[string]func(queue, level string) error{
		"go": func(queue, level string) error {
			p := map[string]glassq.Priority{"0": glassq.Lowest, "9": 9}[level]
			_, err := c.Put(t.Context(), []glassq.Task{{Queue: queue, Body: []byte(level), Priority: p}})
			return err
		},
		"http": func(queue, level string) error {
			member := ""
			if level != "" {
				member = `,"priority":` + level
			}
			r, err := http.Post(url+"/v1/queues/"+queue+"/tasks", "application/json",
				strings.NewReader(`{"body":"`+level+`"`+member+`}`))
			if err != nil {
				return err
			}
			defer r.Body.Close()
			if text, _ := io.ReadAll(r.Body); r.StatusCode != http.StatusOK {
				return fmt.Errorf("%s: %s", r.Status, text)
			}
			return nil
		},
		"memcached": func(queue, level string) error {
			if level != "" {
				queue += "/prio=" + level
			}
			nc, err := net.Dial("tcp", addr)
			if err != nil {
				return err
			}
			defer nc.Close()
			fmt.Fprintf(nc, "set %s 0 0 %d\r\n%s\r\n", queue, len(level), level)
			if line, err := bufio.NewReader(nc).ReadString('\n'); line != "STORED\r\n" {
				return fmt.Errorf("answered %q, %v", line, err)
			}
			return nil
		},
		"command": func(queue, level string) error {
			args := []string{"put", "--server", url, "--queue", queue}
			if level != "" {
				args = append(args, "--priority", level)
			}
			out, errs, code := invoke(t, "", nil, append(args, "--", level)...)
			if code != 0 {
				return fmt.Errorf("exit %d: %s%s", code, out, errs)
			}
			return nil
		},
	}
	for door, put := range doors {
		for _, level := range []string{"0", "", "9"} {
			if err := put(door, level); err != nil {
				t.Fatalf("put through %s with level %q: %v", door, level, err)
			}
		}
		leases, err := c.Reserve(t.Context(), glassq.Reserve{Queue: door, Max: 3})
		if err != nil || len(leases) != 3 {
			t.Fatalf("%s: %d leases, %v; want 3", door, len(leases), err)
		}
		for i, want := range []struct {
			body  string
			level int
		}{{"9", 9}, {"", 4}, {"0", 0}} {
			if l := leases[i]; string(l.Body) != want.body || l.Priority.Level() != want.level {
				t.Errorf("%s: lease %d has body %q and level %d, want %q and %d", door, i, l.Body, l.Priority.Level(),
					want.body, want.level)
			}
		}
	}
}
