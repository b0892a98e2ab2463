package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/bradfitz/gomemcache/memcache"
)

// gomemcacheClient is Go's gomemcache as a whole client, for TestMemcachedClients: verbs, put N or
// work.
func gomemcacheClient(args []string) int {
	c := memcache.New(os.Getenv("GLASSQ_MEMCACHED"))
	c.Timeout = 20 * time.Second
	q := goClient{c}
	switch {
	case len(args) == 1 && args[0] == "verbs":
		for _, v := range goVerbs {
			if err := v.do(q, "own-"+v.name); err != nil {
				fmt.Printf("fail %s: %v\n", v.name, err)
			} else {
				fmt.Println("ok " + v.name)
			}
		}
		return 0
	case len(args) == 2 && args[0] == "put":
		n, err := strconv.Atoi(args[1])
		for i := 0; i < n && err == nil; i++ {
			err = c.Set(&memcache.Item{Key: fmt.Sprintf("tasks/id=p-%d", i), Value: fmt.Appendf(nil, "task %d", i)})
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return 0
	}
	for {
		item, err := c.Get("tasks/open/t=10000/lease=10000")
		switch {
		case err == nil:
			item.Key, item.Value = "results", kitWork(item.Value)
			c.CompareAndSwap(item) // a lost lease was answered to somebody else
		case !errors.Is(err, memcache.ErrCacheMiss):
			time.Sleep(50 * time.Millisecond) // the server is away
		}
	}
}

// kitWork is the job of the conformance kit.
func kitWork(body []byte) []byte {
	began := time.Now()
	var job struct {
		Sleep any  `json:"sleep"`
		Fail  bool `json:"fail"`
	}
	data := bytes.HasPrefix(body, []byte("{")) || bytes.HasPrefix(body, []byte("["))
	data = data && json.Valid(body)
	if data && body[0] == '{' && json.Unmarshal(body, &job) != nil {
		job.Fail = true
	}
	ok := 1
	switch s := job.Sleep.(type) {
	case nil:
	case float64:
		time.Sleep(time.Duration(s * float64(time.Second)))
	default:
		ok = 0
	}
	if job.Fail {
		ok = 0
	}
	o := fmt.Sprintf(`"o":{"ok":%d,"rt":%.6f}}`, ok, time.Since(began).Seconds())
	switch {
	case data:
		return fmt.Appendf(nil, `{"i":%s,%s`, body, o)
	case utf8.Valid(body):
		i, _ := json.Marshal(string(body)) // a string always can be
		return fmt.Appendf(nil, `{"i":%s,%s`, i, o)
	}
	return []byte("{" + o)
}

// A goClient is gomemcache with an absent task as "-", which no case puts.
type goClient struct{ *memcache.Client }

func (q goClient) put(key, body string) error {
	return q.Set(&memcache.Item{Key: key, Value: []byte(body)})
}

func (q goClient) get(key string) (string, error) {
	item, err := q.Get(key)
	if errors.Is(err, memcache.ErrCacheMiss) {
		return "-", nil
	}
	if err != nil {
		return "", err
	}
	return string(item.Value), nil
}

// reserve takes one with a lease, which is the item's CasID.
func (q goClient) reserve(key string) (*memcache.Item, string, error) {
	item, err := q.Get(key)
	if err != nil {
		return nil, "", err
	}
	queue, _, _ := strings.Cut(key, "/")
	return item, fmt.Sprintf("%s/%d", queue, item.CasID), nil
}

// gets wants these bodies, in this order.
func (q goClient) gets(key string, want ...string) error {
	for _, w := range want {
		if got, err := q.get(key); err != nil || got != w {
			return fmt.Errorf("get %s = %.60q, %v; want %.60q", key, got, err, w)
		}
	}
	return nil
}

func is(what string, err, want error) error {
	if !errors.Is(err, want) {
		return fmt.Errorf("%s = %v; want %v", what, err, want)
	}
	return nil
}

// both: the body comes back from a get and from a reserve.
func (q goClient) both(n, body string) error {
	if err := errors.Join(q.put(n, body), q.put(n, body), q.gets(n, body)); err != nil {
		return err
	}
	item, lease, err := q.reserve(n + "/open")
	if err != nil || string(item.Value) != body {
		return fmt.Errorf("reserve: another body, or %v", err)
	}
	return errors.Join(q.Delete(lease), q.gets(n, "-"))
}

// across: what another door put is read, and what is put there that door reads.
func (q goClient) across(n, body string) error {
	return errors.Join(q.put(n+"-out", body), q.gets(n+"-in", body))
}

const goResult = `{"o":{"ok":1}}`

// reserved puts a task and takes it with a lease.
func (q goClient) reserved(n, options string) (*memcache.Item, string, error) {
	if err := q.put(n, "one"); err != nil {
		return nil, "", err
	}
	return q.reserve(n + options)
}

var goVerbs = []struct {
	name string
	do   func(q goClient, n string) error
}{
	{"bytes", func(q goClient, n string) error { return q.across(n, string(everyByte())) }},
	{"duplicate", func(q goClient, n string) error {
		add := func(key string) error { return q.Add(&memcache.Item{Key: key, Value: []byte("two")}) }
		return errors.Join(q.put(n+"/id=1", "one"), is("add", add(n+"/id=1"), memcache.ErrNotStored), add(n+"/id=2"),
			q.gets(n, "one", "two", "-"))
	}},
	{"empty", func(q goClient, n string) error { return q.both(n, "") }},
	{"extend", func(q goClient, n string) error {
		_, lease, err := q.reserved(n, "/open/lease=5000")
		if err != nil {
			return err
		}
		return q.Touch(lease, 30)
	}},
	{"large", func(q goClient, n string) error { return q.both(n, strings.Repeat("0123456789abcdef", 1<<16)) }},
	{"lease-lost", func(q goClient, n string) error {
		item, lease, err := q.reserved(n, "/open")
		if err != nil {
			return err
		}
		item.Key = n + "-results"
		return errors.Join(q.put(lease+"/nack", ""),
			is("delete", q.Delete(lease), memcache.ErrCacheMiss),
			is("touch", q.Touch(lease, 30), memcache.ErrCacheMiss),
			is("cas", q.CompareAndSwap(item), memcache.ErrCacheMiss),
			is("set ack=", q.put(fmt.Sprintf("%s-results/ack=%d", n, item.CasID), "x"), memcache.ErrNotStored),
			is("nack", q.put(lease+"/nack", ""), memcache.ErrNotStored),
			q.gets(n+"-results", "-"), q.gets(n, "one"))
	}},
	{"nack", func(q goClient, n string) error {
		first, lease, err := q.reserved(n, "/open")
		if err != nil {
			return err
		}
		if err := q.put(lease+"/nack", ""); err != nil {
			return err
		}
		again, _, err := q.reserve(n + "/open/t=1000")
		if err != nil || string(again.Value) != "one" || again.CasID <= first.CasID {
			return fmt.Errorf("reserve after nack = %+v, %v", again, err)
		}
		return nil
	}},
	{"put", func(q goClient, n string) error {
		return errors.Join(q.put(n, "one"), q.put(n, "two"), q.gets(n, "one", "two", "-"))
	}},
	{"reserve-ack", func(q goClient, n string) error {
		item, lease, err := q.reserved(n, "/open/t=1000/lease=5000")
		if err != nil || string(item.Value) != "one" || item.CasID == 0 {
			return fmt.Errorf("reserve = %+v, %v", item, err)
		}
		return errors.Join(q.gets(n, "-"), q.Delete(lease), q.Delete(lease))
	}},
	{"result-cas", func(q goClient, n string) error {
		item, lease, err := q.reserved(n, "/open")
		if err != nil {
			return err
		}
		item.Key, item.Value = n+"-results", []byte(goResult)
		return errors.Join(q.CompareAndSwap(item), q.gets(n+"-results", goResult), q.gets(n, "-"), q.Delete(lease))
	}},
	{"result-set", func(q goClient, n string) error {
		item, lease, err := q.reserved(n, "/open")
		if err != nil {
			return err
		}
		return errors.Join(q.put(fmt.Sprintf("%s-results/ack=%d", n, item.CasID), goResult),
			q.gets(n+"-results", goResult), q.gets(n, "-"), q.Delete(lease))
	}},
	{"text", func(q goClient, n string) error { return q.across(n, doorText) }},
	{"wait", func(q goClient, n string) error {
		return errors.Join(q.put(n+"/delay=2000", "late"), q.gets(n, "-"), q.gets(n+"/t=15000", "late"))
	}},
	{"wait-ends", func(q goClient, n string) error { return q.gets(n+"/t=200", "-") }},
}
