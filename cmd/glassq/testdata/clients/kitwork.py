"""The job of the conformance kit, for workers that get bytes."""
import json, time

def work(body):
    """Returns the result record of a task with that body."""
    began, o = time.monotonic(), {"ok": 1}
    try:
        job = json.loads(body) if body[:1] in (b"{", b"[") else {}
        time.sleep(job.get("sleep", 0))
        o["ok"] = 0 if job.get("fail") else 1
    except (TypeError, ValueError):
        o = {"ok": 0, "err": "bad_task"}
    o["rt"] = time.monotonic() - began
    result = {"o": o}
    try:
        result["i"] = json.loads(body) if body[:1] in (b"{", b"[") else body.decode()
    except ValueError:
        pass
    return json.dumps(result)
