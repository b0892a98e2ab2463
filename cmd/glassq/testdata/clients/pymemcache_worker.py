"""pymemcache: the whole set of verbs on a queue of its own, then the kit's worker."""
import os, time
from kitwork import work
from pymemcache.client.base import Client

host, port = os.environ["GLASSQ_MEMCACHED"].split(":")

def connect():
    return Client((host, int(port)), default_noreply=False, timeout=20)

def selftest(q):
    name = "own-%d" % os.getpid()
    assert q.set(name + "/id=1", b"one")
    assert not q.add(name + "/id=1", b"again"), "a duplicate id is told"
    value, cas = q.gets(name + "/open/lease=5000")
    assert value == b"one" and int(cas) > 0
    assert q.touch("%s/%d" % (name, int(cas)), 30), "extend"
    assert q.set("%s/%d/nack" % (name, int(cas)), b"", expire=0), "nack"
    value, cas = q.gets(name + "/open/t=1000")
    assert value == b"one"
    assert q.set("%s/ack=%d" % (name + "-results", int(cas)), b'{"o":{"ok":1}}'), "result and ack"
    assert q.delete("%s/%d" % (name, int(cas))), "repeating an ack is fine"
    assert q.get(name) is None
    assert q.get(name + "-results").startswith(b'{"o"')
    began = time.monotonic()
    assert q.get(name + "/t=300") is None and time.monotonic() - began > 0.25, "a get that waits"

selftest(connect())
queue = connect()
while True:
    try:
        value, cas = queue.gets("tasks/open/t=10000/lease=10000")
        if value is not None:
            queue.cas("results", work(value), cas)
    except Exception:  # the server is away: pymemcache has many names for it
        queue.close()
        time.sleep(0.05)
        queue = connect()
