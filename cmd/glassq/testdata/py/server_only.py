# A program whose server has a process of its own, and functions that cannot be pickled by name elsewhere.
import sys
import queue
from multiprocessing.managers import BaseManager

jobs = queue.Queue()


class QueueManager(BaseManager):
    pass


QueueManager.register('get_job_queue', callable=lambda: jobs)
server = QueueManager(address=('127.0.0.1', int(sys.argv[1])), authkey=b'abc').get_server()
print('serves')
sys.stdout.flush()
server.serve_forever()
