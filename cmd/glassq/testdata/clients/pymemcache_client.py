"""pymemcache as a whole client: what TestMemcachedClients asks of it."""
import os, sys, time
from kitwork import work, verbs
from pymemcache.client.base import Client

host, port = os.environ["GLASSQ_MEMCACHED"].split(":")

def connect():
    return Client((host, int(port)), default_noreply=False, timeout=20)

class Queue:
    """The verbs in one shape for both Python clients: bytes, and a lease as an int."""
    def __init__(self):
        self.c = connect()
    def put(self, key, body): return self.c.set(key, body)
    def add(self, key, body): return self.c.add(key, body)
    def get(self, key): return self.c.get(key)
    def reserve(self, key):
        body, cas = self.c.gets(key)
        return body, int(cas or 0)
    def result(self, key, body, lease): return self.c.cas(key, body, str(lease).encode())
    def ack(self, key): return self.c.delete(key)
    def extend(self, key, seconds): return self.c.touch(key, seconds)
    def nack(self, key, seconds): return self.c.set(key, b"", expire=seconds)

if sys.argv[1] == "verbs":
    verbs(Queue)
elif sys.argv[1] == "put":
    queue = connect()
    for i in range(int(sys.argv[2])):
        assert queue.set("tasks/id=p-%d" % i, b"task %d" % i)
else:
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
