# The calls of the tutorial's worker: it connects, and multiplies what it gets until nothing comes.
import sys
import time
import queue
from multiprocessing.managers import BaseManager


class QueueManager(BaseManager):
    pass


QueueManager.register('get_task_queue')
QueueManager.register('get_result_queue')

if __name__ == '__main__':
    m = QueueManager(address=('127.0.0.1', int(sys.argv[1])), authkey=b'abc')
    m.connect()
    task = m.get_task_queue()
    result = m.get_result_queue()
    left = int(sys.argv[3])  # how often it may find nothing
    while left:
        try:
            n = task.get(timeout=1)
            r = '%d * %d = %d' % (n, n, n * n)
            time.sleep(float(sys.argv[2]))
            result.put(r)
        except queue.Empty:
            print('task queue is empty.')
            left -= 1
    print('worker exit.')
