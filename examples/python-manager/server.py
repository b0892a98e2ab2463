"""A manager of Python's own, which glassq serve takes the place of."""
import os
from multiprocessing.managers import BaseManager
try:
    import queue
except ImportError:
    import Queue as queue

tasks, results = queue.Queue(), queue.Queue()


def get_task_queue():
    return tasks


def get_result_queue():
    return results


class QueueManager(BaseManager):
    pass


QueueManager.register('get_task_queue', callable=get_task_queue)
QueueManager.register('get_result_queue', callable=get_result_queue)

if __name__ == '__main__':
    host, port = os.environ.get('MANAGER', '127.0.0.1:5000').split(':')
    key = os.environ.get('MANAGER_KEY', 'secret').encode('ascii')
    QueueManager(address=(host, int(port)), authkey=key).get_server().serve_forever()
