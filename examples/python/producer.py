"""Puts N tasks (10 if not said) in one batch: the ids make it safe to run again."""
import json, os, sys, urllib.request

server = os.environ.get("GLASSQ_SERVER", "http://127.0.0.1:5080")
count = int(sys.argv[1]) if len(sys.argv) > 1 else 10
tasks = [{"id": f"python-{i}", "body": f"http://localhost:8888/?q={i}"} for i in range(count)]
request = urllib.request.Request(
    server + "/v1/queues/tasks/tasks?answer=count",
    "\n".join(map(json.dumps, tasks)).encode(),
    {"Content-Type": "application/x-ndjson"},
)
print(urllib.request.urlopen(request).read().decode())
