"""What the Python clients have in common: the job of the conformance kit, and the cases of all verbs."""
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

def same(got, want):
    if got != want:
        raise AssertionError("got %.60r, want %.60r" % (got, want))

def case_put(q, n):
    same(q.put(n, b"one"), True)
    same(q.put(n, b"two"), True)
    same((q.get(n), q.get(n), q.get(n)), (b"one", b"two", None))

def case_duplicate(q, n):
    same((q.put(n + "/id=1", b"one"), q.add(n + "/id=1", b"one"), q.add(n + "/id=2", b"two")), (True, False, True))
    same((q.get(n), q.get(n), q.get(n)), (b"one", b"two", None))

def case_wait(q, n):
    same(q.put(n + "/delay=2000", b"late"), True)
    same((q.get(n), q.get(n + "/t=15000")), (None, b"late"))

def case_wait_ends(q, n):
    same(q.get(n + "/t=200"), None)

def case_reserve_ack(q, n):
    q.put(n, b"one")
    body, lease = q.reserve(n + "/open/t=1000/lease=5000")
    same((body, lease > 0, q.get(n)), (b"one", True, None))
    same((q.ack("%s/%d" % (n, lease)), q.ack("%s/%d" % (n, lease))), (True, True))

def case_extend(q, n):
    q.put(n, b"one")
    _, lease = q.reserve(n + "/open/lease=5000")
    same(q.extend("%s/%d" % (n, lease), 30), True)

def case_nack(q, n):
    q.put(n, b"one")
    _, first = q.reserve(n + "/open")
    same(q.nack("%s/%d/nack" % (n, first), 0), True)
    body, lease = q.reserve(n + "/open/t=1000")
    same((body, lease > first), (b"one", True))

def case_result_cas(q, n):
    q.put(n, b"one")
    _, lease = q.reserve(n + "/open")
    same(q.result(n + "-results", b'{"o":{"ok":1}}', lease), True)
    same((q.get(n + "-results"), q.get(n), q.ack("%s/%d" % (n, lease))), (b'{"o":{"ok":1}}', None, True))

def case_result_set(q, n):
    q.put(n, b"one")
    _, lease = q.reserve(n + "/open")
    same(q.put("%s-results/ack=%d" % (n, lease), b'{"o":{"ok":1}}'), True)
    same((q.get(n + "-results"), q.get(n), q.ack("%s/%d" % (n, lease))), (b'{"o":{"ok":1}}', None, True))

def case_lease_lost(q, n):
    q.put(n, b"one")
    _, lease = q.reserve(n + "/open")
    q.nack("%s/%d/nack" % (n, lease), 0)
    for name, f in (("ack", lambda: q.ack("%s/%d" % (n, lease))),
                    ("extend", lambda: q.extend("%s/%d" % (n, lease), 30)),
                    ("cas", lambda: q.result(n + "-results", b"x", lease)),
                    ("ack=", lambda: q.put("%s-results/ack=%d" % (n, lease), b"x")),
                    ("nack", lambda: q.nack("%s/%d/nack" % (n, lease), 0))):
        try:
            got = f()
        except Exception as e:  # some answers are an exception here
            got = type(e).__name__ == "NotFound" and None
        if got:
            raise AssertionError("%s of a lost lease = %r" % (name, got))
    same((q.get(n + "-results"), q.get(n)), (None, b"one"))

def both(q, n, body):
    """The body comes back from a get and from a reserve."""
    same((q.put(n, body), q.put(n, body), q.get(n)), (True, True, body))
    got, lease = q.reserve(n + "/open")
    same((got, q.ack("%s/%d" % (n, lease)), q.get(n)), (body, True, None))

def across(q, n, body):
    """What another door put is read, and what is put there that door reads."""
    same((q.get(n + "-in"), q.put(n + "-out", body)), (body, True))

def case_bytes(q, n): across(q, n, bytes(range(256)))

def case_text(q, n): across(q, n, "k\u00e4se\r\n\u5024 \\".encode())

def case_empty(q, n): both(q, n, b"")

def case_large(q, n): both(q, n, b"0123456789abcdef" * 65536)

def verbs(client):
    """Does each case with a new client and prints what came of it, one line each."""
    for name, do in sorted(globals().items()):
        if name.startswith("case_"):
            name = name[5:].replace("_", "-")
            try:
                do(client(), "own-" + name)
                print("ok " + name)
            except Exception as e:
                print("fail %s: %s: %s" % (name, type(e).__name__, e))
