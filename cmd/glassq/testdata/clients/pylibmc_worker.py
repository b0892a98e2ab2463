"""pylibmc (libmemcached): the whole set of verbs on a queue of its own, then the kit's worker."""
import os, time
import pylibmc
from kitwork import work

def connect():
    return pylibmc.Client([os.environ["GLASSQ_MEMCACHED"]], behaviors={"cas": True, "tcp_nodelay": True})

def selftest(q):
    name = "own-%d" % os.getpid()
    assert q.set(name + "/id=1", "one")
    assert not q.add(name + "/id=1", "again"), "a duplicate id is told"
    value, cas = q.gets(name + "/open/lease=5000")
    assert value == "one" and cas > 0
    assert q.touch("%s/%d" % (name, cas), 30), "extend"
    assert q.set("%s/%d/nack" % (name, cas), ""), "nack"
    value, cas = q.gets(name + "/open/t=1000")
    assert value == "one"
    assert q.set("%s-results/ack=%d" % (name, cas), '{"o":{"ok":1}}'), "result and ack"
    assert q.delete("%s/%d" % (name, cas)), "repeating an ack is fine"
    assert q.get(name) is None
    assert q.get(name + "-results").startswith('{"o"')
    began = time.monotonic()
    assert q.get(name + "/t=300") is None and time.monotonic() - began > 0.25, "a get that waits"

selftest(connect())
queue = connect()
while True:
    try:
        value, cas = queue.gets("tasks/open/t=3000/lease=10000")
        if value is not None:
            queue.cas("results", work(value if isinstance(value, bytes) else value.encode()), cas)
    except pylibmc.Error:
        time.sleep(0.05)
        queue = connect()
