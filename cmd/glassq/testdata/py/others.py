# What is not a manager of queues at a known address is Python's own, under glassq py as without it.
import multiprocessing
import sys
from multiprocessing.managers import BaseManager


class Sum(object):
    def __init__(self):
        self.n = 0

    def add(self, n):
        self.n += n
        return self.n


class MathManager(BaseManager):
    pass


MathManager.register('Sum', Sum)


class Mixed(BaseManager):
    pass


Mixed.register('get_task_queue')
Mixed.register('get_config', callable=dict)


def add(numbers, n):
    numbers.append(n)


if __name__ == '__main__':
    with multiprocessing.Manager() as m:
        numbers = m.list()
        p = multiprocessing.Process(target=add, args=(numbers, 7))
        p.start()
        p.join()
        print(list(numbers))
        q = m.Queue()
        q.put(1)
        print(q.get())
    with MathManager(address=('127.0.0.1', 0), authkey=b'x') as m:
        s = m.Sum()
        s.add(2)
        print(s.add(3))
    try:
        Mixed(address=('127.0.0.1', int(sys.argv[1])), authkey=b'x').start()
    except RuntimeError as e:
        print(str(e).split(';')[0])
