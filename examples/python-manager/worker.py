"""Works until there is nothing more to do. The work of this one is to count letters."""
import time
try:
    from queue import Empty
except ImportError:
    from Queue import Empty
from manager import connect

tasks, results = connect()
while not tasks.empty():
    try:
        url = tasks.get(timeout=1)
    except Empty:
        break
    began = time.time()
    results.put({'i': url, 'o': {'ok': 1, 'rt': time.time() - began, 'n': len(url)}})
