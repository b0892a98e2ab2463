package memcache

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/QuangTung97/go-memcache/memcache"
)

// TestMetaClient: a Go client that speaks nothing but meta commands puts, reserves, acks, and puts
// results, in pipelines that it flushes when it wants the first answer.
func TestMetaClient(t *testing.T) {
	r := openPort(t, setup{MaxBody: 1 << 20})
	client, err := memcache.New(r.addr, 2)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	const tasks = 500
	large := strings.Repeat("x", 300_000)
	p := client.Pipeline()
	var stores []func() (memcache.MSetResponse, error)
	for i := range tasks {
		stores = append(stores, p.MSet(fmt.Sprintf("tasks/id=%d", i), fmt.Appendf(nil, "task %d", i), memcache.MSetOptions{}))
	}
	stores = append(stores, p.MSet("tasks", []byte(large), memcache.MSetOptions{TTL: 1000}))
	for i, stored := range stores {
		if resp, err := stored(); err != nil || resp.Type != memcache.MSetResponseTypeHD {
			t.Fatalf("put %d = %+v, %v", i, resp, err)
		}
	}
	for i := range tasks + 1 {
		want := fmt.Sprintf("task %d", i)
		if i == tasks {
			want = large
		}
		task, err := p.MGet("tasks", memcache.MGetOptions{CAS: true})()
		if err != nil || string(task.Data) != want || task.CAS == 0 {
			t.Fatalf("reserve %d = %.80q, cas %d, %v; want %.80q", i, task.Data, task.CAS, err, want)
		}
		if i%2 == 0 {
			done, err := p.MDel("tasks", memcache.MDelOptions{CAS: task.CAS})()
			if err != nil || done.Type != memcache.MDelResponseTypeHD {
				t.Fatalf("ack %d = %+v, %v", i, done, err)
			}
			continue
		}
		done, err := p.MSet("results", []byte(`{"o":{"ok":1}}`), memcache.MSetOptions{CAS: task.CAS})()
		if err != nil || done.Type != memcache.MSetResponseTypeHD {
			t.Fatalf("result %d = %+v, %v", i, done, err)
		}
	}
	empty, err := p.MGet("tasks", memcache.MGetOptions{CAS: true})()
	lost, err2 := p.MDel("tasks", memcache.MDelOptions{CAS: 1 << 50})()
	none, err3 := p.MSet("results", []byte("x"), memcache.MSetOptions{CAS: 1 << 50})()
	taken, err4 := p.MGet("results", memcache.MGetOptions{})()
	if err := errors.Join(err, err2, err3, err4); err != nil || empty.Type != memcache.MGetResponseTypeEN ||
		lost.Type != memcache.MDelResponseTypeNF || none.Type != memcache.MSetResponseTypeNF ||
		string(taken.Data) != `{"o":{"ok":1}}` {
		t.Errorf("reserve of nothing = %+v, ack of no lease = %+v, result = %+v, get = %+v, %v", empty, lost, none,
			taken, err)
	}
	q, err := r.store.Queues(t.Context(), "tasks", "results")
	if err != nil || q[0].Books.OK != tasks+1 || q[0].Pending != 0 || q[1].Ready != tasks/2-1 {
		t.Errorf("queues = %+v, %v; want %d tasks ok, %d results left", q, err, tasks+1, tasks/2-1)
	}
}
