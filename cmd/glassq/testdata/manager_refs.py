"""A family of programs that fork, copy, end and are killed as a seed says. Python 2.7 and 3.

Arguments: how children are started (fork or spawn), and the seed. Each program writes a line when it has got an item,
"got HANDOUT ITEM", and one when the work on it is over, "finish HANDOUT": before it makes another call or ends well.
"""
import copy, multiprocessing, os, pickle, random, signal, sys, threading, uuid
from multiprocessing.managers import BaseManager
try:
    from queue import Empty
except ImportError:
    from Queue import Empty

TYPE = 'get_%s_queue' % os.environ['QUEUE']
KEY = os.environ['MANAGER_KEY'].encode('ascii')


class M(BaseManager): pass
M.register(TYPE)


def own_proxy():
    host, port = os.environ['MANAGER'].split(':')
    m = M(address=(host, int(port)), authkey=KEY)
    m.connect()
    return getattr(m, TYPE)()


def say(*words):
    os.write(1, (' '.join(words) + '\n').encode('ascii'))  # one write, so that lines stay whole


def take(q):
    """Gets an item, and returns what names this hand-out."""
    try:
        item = q.get_nowait()
    except Empty:
        return None
    handout = uuid.uuid4().hex
    say('got', handout, item)
    return handout


def kill():
    os.kill(os.getpid(), signal.SIGKILL)


def job(q, end):
    """Work that a pool does with a pickled proxy."""
    handout = take(q)
    if handout and end != 'lose':
        say('finish', handout)
    if end == 'kill':
        kill()


def hold(q, taken):
    take(q)
    taken.set()
    threading.Event().wait()


class Life(object):
    def __init__(self, method, seed, depth):
        self.method, self.depth, self.random = method, depth, random.Random(seed)
        self.mp = multiprocessing if sys.version_info[0] == 2 else multiprocessing.get_context(method)
        self.proxies, self.handout, self.by = [], None, None

    def finish(self):
        if self.handout:
            say('finish', self.handout)
        self.handout = None

    def take(self):
        self.finish()
        self.by = self.random.choice(self.proxies)
        self.handout = take(self.by)

    def copy(self):
        self.proxies.append(copy.copy(self.random.choice(self.proxies)))

    def pickle(self):
        self.proxies.append(pickle.loads(pickle.dumps(self.random.choice(self.proxies))))

    def own(self):
        self.proxies.append(own_proxy())

    def drop(self):
        """Lets go of a proxy, but not the last one. The work is over when the item came through that one."""
        if len(self.proxies) == 1:
            return
        p = self.proxies.pop(self.random.randrange(len(self.proxies)))
        if self.by is not None and p._id == self.by._id and all(o._id != p._id for o in self.proxies):
            self.finish()
        if self.by is p:
            self.by = next((o for o in self.proxies if o._id == p._id), None)

    def child(self):
        if self.depth == 2:
            return
        q = self.random.choice(self.proxies)
        p = self.mp.Process(target=live, args=(self.method, self.random.random(), self.depth + 1, q))
        p.start()
        if self.random.random() < 0.5:
            p.join()

    def thread(self):
        t = threading.Thread(target=job, args=(self.random.choice(self.proxies), self.random.choice(['', 'lose'])))
        t.start()
        t.join()

    def pool(self):
        if multiprocessing.current_process().daemon:
            return
        p = self.mp.Pool(1)
        p.apply(job, (self.random.choice(self.proxies), self.random.choice(['', 'lose'])))
        self.random.choice([p.close, p.terminate])()
        p.join()

    def executor(self):
        if sys.version_info < (3, 9):
            return
        from concurrent.futures import ProcessPoolExecutor
        with ProcessPoolExecutor(1, mp_context=self.mp) as e:
            end = self.random.choice(['', 'lose', 'kill'])
            try:
                e.submit(job, self.random.choice(self.proxies), end).result()
            except Exception:
                if end != 'kill':
                    raise

    def run(self, q):
        self.proxies.append(q)
        del q
        steps = [self.take] * 5 + [self.copy, self.pickle, self.own, self.drop, self.drop, self.child, self.child,
                                   self.thread]
        if self.depth < 2:
            steps.append(self.random.choice([self.pool, self.executor]))
        for _ in range(self.random.randint(2, 7)):
            self.random.choice(steps)()
        end = self.random.choice(['exit', 'daemon', 'finish and be killed', 'be killed', 'be killed', 'leave'])
        if end == 'daemon':  # a thread that is at work when the program ends
            taken = threading.Event()
            t = threading.Thread(target=hold, args=(self.random.choice(self.proxies), taken))
            t.daemon = True
            t.start()
            taken.wait()
        if end in ('exit', 'daemon', 'finish and be killed'):
            self.finish()
        if end.endswith('be killed'):
            kill()
        if end == 'leave':
            os._exit(0)


def live(method, seed, depth, q):
    Life(method, seed, depth).run(q)


if __name__ == '__main__':
    multiprocessing.current_process().authkey = KEY
    live(sys.argv[1], sys.argv[2], 0, own_proxy())
