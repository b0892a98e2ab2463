"""pylibmc (libmemcached) as a whole client: what TestMemcachedClients asks of it."""
import os, sys, time
import pylibmc
from kitwork import work, verbs

def connect():
    return pylibmc.Client([os.environ["GLASSQ_MEMCACHED"]], behaviors={"cas": True, "tcp_nodelay": True, "_poll_timeout": 20000})

class Queue:
    """The verbs in one shape for both Python clients: bytes, and a lease as an int."""
    def __init__(self):
        self.c = connect()
    def put(self, key, body): return self.c.set(key, body)
    def add(self, key, body): return self.c.add(key, body)
    def get(self, key): return self.plain(self.c.get(key))
    def reserve(self, key):
        body, cas = self.c.gets(key)
        return self.plain(body), cas
    def result(self, key, body, lease): return self.c.cas(key, body, lease)
    def ack(self, key): return self.c.delete(key)
    def extend(self, key, seconds): return self.c.touch(key, seconds)
    def nack(self, key, seconds): return self.c.set(key, "", time=seconds)
    @staticmethod
    def plain(body):
        """pylibmc tells str from bytes by the flags."""
        return body.encode() if isinstance(body, str) else body

if sys.argv[1] == "verbs":
    verbs(Queue)
elif sys.argv[1] == "put":
    queue = connect()
    for i in range(int(sys.argv[2])):
        assert queue.set("tasks/id=p-%d" % i, "task %d" % i)
else:
    queue = connect()
    while True:
        try:
            value, cas = queue.gets("tasks/open/t=10000/lease=10000")
            if value is not None:
                queue.cas("results", work(Queue.plain(value)), cas)
        except pylibmc.Error:
            time.sleep(0.05)
            queue = connect()
