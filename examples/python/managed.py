"""A worker on multiprocessing's own manager: the kit's door "manager" checks it.

A task {"sleep": 2} takes two seconds, {"fail": True} fails, any other succeeds."""
import os, time
from multiprocessing.managers import BaseManager

class Queues(BaseManager):
    pass

Queues.register("get_task_queue")
Queues.register("get_result_queue")
host, port = os.environ.get("GLASSQ_MANAGER", "127.0.0.1:5000").split(":")
queues = Queues((host, int(port)), os.environ.get("GLASSQ_KEY", "secret").encode())
queues.connect()
tasks, results = queues.get_task_queue(), queues.get_result_queue()
while True:
    body = tasks.get()  # the put of the result is its ack
    began, job = time.monotonic(), body if isinstance(body, dict) else {}
    try:
        time.sleep(job.get("sleep", 0))
        o = {"ok": 0 if job.get("fail") else 1}
    except TypeError:
        o = {"ok": 0, "err": "bad_task"}
    o["rt"] = time.monotonic() - began
    results.put({"i": body, "o": o})
