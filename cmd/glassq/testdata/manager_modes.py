"""One client of a manager, in the way that its first argument says. Python 2.7 and 3."""
import collections, copy, fractions, hashlib, hmac, json, multiprocessing, os, pickle, signal, socket, subprocess, sys, threading, time
try: import enum, pathlib, queue
except ImportError: import Queue as queue; enum = pathlib = None
from multiprocessing.managers import BaseManager


class M(BaseManager): pass
M.register('get_task_queue'); M.register('get_result_queue')


class Own(object):
    def __init__(self, n): self.n = n
    def __eq__(self, other): return self.__dict__ == other.__dict__


def say(text):
    print(text); sys.stdout.flush()


def address():
    at = os.environ['MANAGER']
    if '/' in at: return at
    host, port = at.split(':')
    return host, int(port)


def connect():
    m = M(address=address(), authkey=os.environ['MANAGER_KEY'].encode('ascii'))
    m.connect()
    return m


def child(t):
    say(t.get())


def own():
    say(connect().get_task_queue().get())


def kill():
    os.kill(os.getpid(), signal.SIGKILL)


def look(t):
    t.empty()


def work(t, ready, go):
    say(t.get()); ready.set(); go.wait(); kill()


def thread(t, taken):
    say(t.get()); taken.set(); time.sleep(1000)


def race(n):
    for _ in range(n):
        m = connect()
        t = m.get_task_queue()
        t.put('x'); t.empty()
        del t, m


Point = collections.namedtuple('Point', 'x y')
if enum:
    class Color(enum.Enum): RED = 1; BLUE = (2, 'b')
    class Name(str, enum.Enum): A = 'a'
    class Level(enum.IntEnum): LOW = 3
    class Flags(enum.Flag): A = 1; B = 2


def call(*args): raise SystemError('called')


class Called(object):
    def __reduce__(self): return call, (1, 2)


def library():
    d = collections.deque([1, 2], 3)
    out = [Point(1, [2]), d, collections.deque(), [d, d], collections.Counter('aab'), fractions.Fraction(-1, 3), 2j, {Point(1, 2): 'x'}]
    if enum: out += [Color.RED, Color.BLUE, Name.A, Level.LOW, Flags.A | Flags.B, [Color.RED] * 3, {Color.RED: Color.BLUE}]
    if pathlib: out += [pathlib.Path('/a/b'), pathlib.Path('.'), pathlib.PurePosixPath('x/y'), pathlib.PureWindowsPath('c:/x/y'), pathlib.PureWindowsPath('//h/s/x')]
    for f in (lambda: open('/absent/file'), lambda: {}['k'], lambda: b'\xff'.decode('utf-8'), lambda: json.loads('{'), lambda: 1 / 0,
              lambda: queue.Queue().get_nowait(), lambda: subprocess.check_call([sys.executable, '-c', 'raise SystemExit(3)']),
              lambda: socket.create_connection(('127.0.0.1', 1))):
        try: f()
        except Exception as e: out.append(e)
    if not enum: out = [v for v in out if not isinstance(v, subprocess.CalledProcessError)]  # Python 2 cannot read it
    e = ValueError('a', 2); e.extra = {'n': 1}
    return out + [e]


def redhat():
    """Replaces the handshake by that of a Python whose distribution has patched MD5 out of it."""
    from multiprocessing import connection

    def deliver(c, key):
        message = os.urandom(20)
        c.send_bytes(b'#CHALLENGE#' + message)
        if c.recv_bytes(256) != hmac.new(key, message, hashlib.sha256).digest():
            c.send_bytes(b'#FAILURE#')
            raise multiprocessing.AuthenticationError('digest received was wrong')
        c.send_bytes(b'#WELCOME#')

    def answer(c, key):
        message = c.recv_bytes(256)
        assert message[:11] == b'#CHALLENGE#'
        c.send_bytes(hmac.new(key, message[11:], hashlib.sha256).digest())
        if c.recv_bytes(256) != b'#WELCOME#':
            raise multiprocessing.AuthenticationError('digest sent was rejected')

    connection.deliver_challenge, connection.answer_challenge = deliver, answer


if __name__ == '__main__':
    mode = sys.argv[1]
    if mode == 'redhat':
        redhat(); mode = 'once'
    if mode == 'wrong':
        try:
            connect(); say('let in')
        except multiprocessing.AuthenticationError:
            say('refused')
        sys.exit()
    multiprocessing.current_process().authkey = os.environ['MANAGER_KEY'].encode('ascii')  # for copies
    m = connect()
    t = m.get_task_queue()
    if mode == 'wait':
        say('ready'); say(t.get()); time.sleep(1000)
    elif mode == 'interrupt':
        say('ready')
        try: t.get(); say('got')
        except KeyboardInterrupt: pass
        say(t.qsize()); say(t.get())
    elif mode == 'library':
        for v in library():
            t.put(v); g = t.get(timeout=10)
            assert type(g) is type(v) and (g == v or isinstance(v, BaseException) and (g.args, g.__dict__) == (v.args, v.__dict__)), (v, g)
        for v in (call, Own(1), Called()):
            try: t.put(v); say('stored')
            except TypeError: pass
        say('same' if t.empty() else 'more')
    elif mode == 'shutdown':
        t.put('x'); t.shutdown()
        assert t.get() == 'x'
        for f in (lambda: t.put('y'), t.get, lambda: t.get(timeout=100)):
            try: f(); say('no exception')
            except Exception as e:
                want = getattr(queue, 'ShutDown', AttributeError if sys.version_info >= (3, 12) else RuntimeError)
                if type(e) is not want: say(repr(e))
        connect().get_task_queue().put('z')
        say(t.get()); t.empty()
    elif mode == 'large':
        try: t.put(b'x' * 70000000); say('stored')
        except ValueError: say('refused')
        t.put('x'); say(t.get())
    elif mode == 'exit':
        say(t.get())
    elif mode == 'done':
        say(t.get()); say(t.get()); t.task_done()
    elif mode == 'raise':
        say(t.get()); raise SystemError('on purpose')
    elif mode == 'drop':
        say(t.get()); del t; m = None
        sys.stdin.readline()
    elif mode == 'die':
        say(t.get()); os._exit(0)
    elif mode == 'fork':
        p = multiprocessing.Process(target=child, args=(t,))
        p.start(); p.join()
        say(t.get()); os._exit(0)
    elif mode == 'copied':  # killed at work, after a copy was dropped
        say(t.get()); y = copy.copy(t); del y; kill()
    elif mode == 'pickled':
        say(t.get()); y = pickle.loads(pickle.dumps(t)); del y; kill()
    elif mode == 'siblings':  # one ends well, then the other is killed at work
        ready, go = multiprocessing.Event(), multiprocessing.Event()
        a, b = multiprocessing.Process(target=look, args=(t,)), multiprocessing.Process(target=work, args=(t, ready, go))
        b.start(); ready.wait(); a.start(); a.join(); go.set(); b.join()
    elif mode == 'pool':  # the worker of a pool ends, then the program is killed
        say(t.get())
        p = multiprocessing.Pool(2); p.apply(look, (t,)); p.close(); p.join(); kill()
    elif mode == 'daemon':  # the program ends well while another thread is at work
        taken = threading.Event()
        x = threading.Thread(target=thread, args=(t, taken)); x.daemon = True
        x.start(); taken.wait()
    elif mode == 'own':  # a child with a proxy of its own, which ends well
        p = multiprocessing.Process(target=own); p.start(); p.join()
    elif mode == 'threads':
        ts = [threading.Thread(target=race, args=(20,)) for _ in range(4)]
        for x in ts: x.start()
        for x in ts: x.join()
        say(t.qsize())
    elif mode == 'opaque':
        t.put(Own([1, {'a': (2, None)}]))
        assert t.get(timeout=10) == Own([1, {'a': (2, None)}])
        t.put('after'); assert t.get(timeout=10) == 'after'
        say('same')
    elif mode == 'once':
        t.put('x'); assert t.get(timeout=10) == 'x'
        say('same')
