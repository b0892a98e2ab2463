"""What all of the programs share: how to reach the queues. Python 2.7 and 3."""
import os
from multiprocessing.managers import BaseManager


class QueueManager(BaseManager):
    pass


QueueManager.register('get_task_queue')
QueueManager.register('get_result_queue')


def connect():
    host, port = os.environ.get('MANAGER', '127.0.0.1:5000').split(':')
    key = os.environ.get('MANAGER_KEY', 'secret').encode('ascii')
    manager = QueueManager(address=(host, int(port)), authkey=key)
    manager.connect()
    return manager.get_task_queue(), manager.get_result_queue()
