package client_test

import (
	"context"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/client"
	"github.com/glassq/glassq/internal/broker"
	"github.com/glassq/glassq/internal/disk"
	httpdoor "github.com/glassq/glassq/internal/door/http"
)

func must[T any](v T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return v
}

// serve stands for a server: it is what "glassq serve" has at its --http address.
func serve() (handler http.Handler, stop func() error) {
	engine := must(disk.Open("mem:", disk.Options{}))
	return httpdoor.New(broker.New(engine, glassq.Limits{}), httpdoor.Options{}), engine.Close
}

func Example() {
	handler, stop := serve()
	defer stop()
	server := httptest.NewServer(handler)
	defer server.Close()

	c := must(client.New(server.URL, client.Options{}))
	defer c.Close()
	ctx := context.Background()
	must(c.Put(ctx, []glassq.Task{{Queue: "tasks", ID: "first", Body: []byte("hello"), Type: glassq.TypeText}}))
	for _, l := range must(c.Reserve(ctx, glassq.Reserve{Queue: "tasks", Max: 10, Wait: time.Minute})) {
		fmt.Printf("%s: %s, attempt %d\n", l.TaskID(), l.Body, l.Attempt)
		errs, err := c.Ack(ctx, []glassq.Ack{{Token: l.Token()}})
		fmt.Println(errs[0], err)
	}
	// Output:
	// first: hello, attempt 1
	// <nil> <nil>
}

// A client with Retry outlives its server: a call waits until there is one again, and a put that is
// sent twice is stored once.
func ExampleOptions_retry() {
	handler, stop := serve() // over one store, as after a restart
	defer stop()
	server := httptest.NewServer(handler)
	defer func() { server.Close() }()
	address := server.Listener.Addr().String()

	c := must(client.New(server.URL, client.Options{
		Retry: -1, // for ever
		Notify: func(error) {
			fmt.Println("the server is away")
			server = httptest.NewUnstartedServer(handler)
			server.Listener.Close()
			server.Listener = must(net.Listen("tcp", address))
			server.Start()
		},
	}))
	defer c.Close()
	ctx := context.Background()
	must(c.Put(ctx, []glassq.Task{{Queue: "mail", Body: []byte("before")}}))
	server.Close()
	must(c.Put(ctx, []glassq.Task{{Queue: "mail", Body: []byte("after")}}))
	for _, l := range must(c.Reserve(ctx, glassq.Reserve{Queue: "mail", Max: 10})) {
		fmt.Println(string(l.Body))
	}
	// Output:
	// the server is away
	// before
	// after
}

// A roundTripper is a function that sends a request.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// A transport of the program's own sees each request, to count or trace it, or to send it in its
// own way.
func ExampleOptions_transport() {
	handler, stop := serve()
	defer stop()
	server := httptest.NewServer(handler)
	defer server.Close()
	c := must(client.New(server.URL, client.Options{
		Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			fmt.Println(r.Method, strings.TrimPrefix(r.URL.Path, "/v1"))
			return http.DefaultTransport.RoundTrip(r)
		}),
	}))
	defer c.Close()
	must(c.Put(context.Background(), []glassq.Task{{Queue: "mail", Body: []byte("hello")}}))
	// Output: POST /queues/mail/tasks
}
