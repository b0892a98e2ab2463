# The calls of the well-known tutorial's master: it starts the manager, puts numbers and gets results.
import sys
import queue
from multiprocessing.managers import BaseManager

task_queue = queue.Queue()
result_queue = queue.Queue()


class QueueManager(BaseManager):
    pass


QueueManager.register('get_task_queue', callable=lambda: task_queue)
QueueManager.register('get_result_queue', callable=lambda: result_queue)

if __name__ == '__main__':
    manager = QueueManager(address=('', int(sys.argv[1])), authkey=b'abc')
    manager.start()
    task = manager.get_task_queue()
    result = manager.get_result_queue()
    count = int(sys.argv[2])
    for n in range(count):
        print('Put task %d...' % n)
        task.put(n)
    print('Try get results...')
    for i in range(count):
        print('Result: %s' % result.get(timeout=10))
    manager.shutdown()
    print('master exit.')
