"""A worker with nothing but Python's standard library, over HTTP.

A task {"sleep": 2} takes two seconds, {"fail": true} fails, any other succeeds."""
import json, os, time, urllib.request
SERVER = os.environ.get("GLASSQ_SERVER", "http://127.0.0.1:5080")

def post(path, lines=()):
    data = "\n".join(json.dumps(x) for x in lines).encode()
    request = urllib.request.Request(SERVER + path, data, {"Content-Type": "application/x-ndjson"})
    with urllib.request.urlopen(request) as answer:
        return [json.loads(line) for line in answer.read().split(b"\n") if line]

def work(lease):
    began, body = time.monotonic(), lease.get("body")
    try:
        job = body if isinstance(body, dict) else {}
        time.sleep(job.get("sleep", 0))
        o = {"ok": 0 if job.get("fail") else 1}
    except TypeError:
        o = {"ok": 0, "err": "bad_task"}
    o["rt"] = round(time.monotonic() - began, 6)
    echo = {"b64": lease["b64"]} if "b64" in lease else {"i": body}
    return {"token": lease["token"], "result": {**echo, "o": o}, "headers": lease.get("headers")}

while True:
    try:
        leases = post("/v1/queues/tasks/reserve?max=500&wait=10s&lease=10s")
        leases and post("/v1/ack", map(work, leases))
    except OSError:
        time.sleep(0.5)  # the server is away
