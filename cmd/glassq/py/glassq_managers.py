"""Has managers whose names are get_<x>_queue use a Glassq server, which goes on where they end.

start() and get_server().serve_forever() start a server if none listens at the address, shutdown() does
nothing, no callable is called or pickled, and a proxy whose connection broke makes another one and
repeats the call. The server sees to it that a call that is repeated counts once: internal/door/manager/resume.go
says how. Managers of any other kind are Python's own.

GLASSQ_PY is what glassq py says: the command that starts a server, the seconds for which a server that
does not answer is tried again, and the names that --manager-queue gives.
"""
import json
import os
import re
import subprocess
import sys
import threading
import time
import uuid
from multiprocessing import ProcessError, connection, util

_said = json.loads(os.environ['GLASSQ_PY'])
_retry = _said['retry']
_name = re.compile(r'get_[A-Za-z0-9_.:+-]+_queue$')
_broken = (EOFError, OSError)
_least_wait = 5     # seconds that a get which is repeated waits at least: longer than the lease of an item whose answer was lost
_note_every = 10

managers = None     # the module; set by install
_started = {}       # address: key, of servers that this program may start again
_starting = threading.Lock()


def _note(text):
    sys.stderr.write('glassq py: %s\n' % text)
    sys.stderr.flush()


def _queues(manager):
    """What is registered and not SyncManager's: names of queues, and others."""
    own = [n for n in manager._registry if n not in managers.SyncManager._registry]
    good = [n for n in own if _name.match(n) or n in _said['names']]
    return good, [n for n in own if n not in good]


def _serves(manager):
    """Whether a server in the place of this manager can be Glassq."""
    address = manager._address
    if not (isinstance(address, tuple) and address[1] or isinstance(address, str) and '/' in address):
        return False  # nobody else knows where it is
    good, bad = _queues(manager)
    if good and bad:
        raise RuntimeError('glassq py: %s is registered beside queues, and its name is no get_<x>_queue; if it is a queue, '
                           'write glassq py --manager-queue %s=QUEUE, otherwise run the program with python' % (bad[0], bad[0]))
    return bool(good)


def _ensure(address, key):
    """Starts a server if none listens, and returns where it is."""
    text = address if isinstance(address, str) else '%s:%d' % (address[0], address[1])
    with _starting:
        run = subprocess.Popen(_said['command'] + [text], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        out, errors = run.communicate(bytes(key))
    if run.returncode != 0:
        raise RuntimeError(errors.decode('utf-8', 'replace').strip())
    reply = json.loads(out.decode('utf-8'))
    if not isinstance(address, str):
        address = (reply['host'], address[1])
    if reply['note'] and address not in _started:
        _note(reply['note'])
    if reply['ours']:
        _started[address] = key
    return address


def _client(address, authkey=None):
    """connection.Client, which waits for a server that is away for a moment."""
    began = time.monotonic()
    told, pause = began + 2 - _note_every, 0.02
    while True:
        try:
            conn = connection.Client(address, authkey=authkey)
            conn._glassq = (address, authkey)
            return conn
        except _broken as e:
            now = time.monotonic()
            if util._exiting or now - began >= _retry:
                raise
            trouble = str(e) or 'it ends connections'
            if address in _started:
                try:
                    _ensure(address, _started[address])
                except RuntimeError as e:
                    trouble = str(e)
            if now - told >= _note_every:
                told = now
                _note('no server at %s: %s; trying again for %d s' % (address, trouble, _retry - (now - began)))
            time.sleep(pause)
            pause = min(2 * pause, 0.5)


class _Patience(object):
    """How often a broken call is repeated: for _retry, counted anew when a connection has lived for a while."""

    def __init__(self):
        self.last = self.end = None

    def spent(self, began):
        now = time.monotonic()
        if self.end is None or now - began > 1:
            self.end = now + _retry
        if now > self.end or util._exiting:
            return True
        time.sleep(0.02)
        return False


def _dispatch(plain):
    def dispatch(c, id, methodname, args=(), kwds={}):
        patience = _Patience()
        while True:
            began = time.monotonic()
            try:
                return plain(c, id, methodname, args, kwds)
            except _broken:
                if not hasattr(c, '_glassq') or patience.spent(began):
                    raise
                _renew(c)
    return dispatch


def _renew(c):
    """Has a connection go on with another one to the same address."""
    new = _client(*c._glassq)
    c.close()
    c._handle, new._handle = new._handle, None


class _Server(object):
    """What get_server returns: it keeps a server running, and is none."""

    def __init__(self, manager):
        self._authkey, self.address = manager._authkey, manager._address
        self.stop_event = threading.Event()

    def serve_forever(self):
        try:
            self.address = _ensure(self.address, self._authkey)
            while not self.stop_event.is_set():
                c = _client(self.address, self._authkey)
                try:
                    managers.dispatch(c, None, 'accept_connection', ('serve_forever',))
                    while not self.stop_event.is_set():
                        if c.poll(1):
                            c.recv()
                except _broken:
                    pass
                finally:
                    c.close()
        except (KeyboardInterrupt, SystemExit):
            pass
        sys.exit(0)


def _connect(plain):
    def connect(self):
        if not _queues(self)[0]:
            return plain(self)
        conn = _client(self._address, authkey=self._authkey)
        managers.dispatch(conn, None, 'dummy')
        self._state.value = managers.State.STARTED
        self._Client = _client
    return connect


def _start(plain):
    def start(self, initializer=None, initargs=()):
        if self._state.value != managers.State.INITIAL or not _serves(self):
            return plain(self, initializer, initargs)
        self._address = _ensure(self._address, self._authkey)
        self.connect()
        self._process = None
        self.shutdown = lambda: None
    return start


def _get_server(plain):
    def get_server(self):
        if self._state.value != managers.State.INITIAL or not _serves(self):
            return plain(self)
        return _Server(self)
    return get_server


def _incref(plain):
    def incref(self):
        if _is_ours(self):
            self._Client = _client
        return plain(self)
    return incref


def _is_ours(proxy):
    return isinstance(proxy._id, str) and proxy._id.startswith('q-')  # Python's own are numbers in hex


def _forget(tls):
    conn = tls.__dict__.pop('connection', None)
    if conn is not None:
        conn.close()


def _ask(proxy, method, args, kwds, aside):
    """Calls, again where the connection breaks, and returns kind, result, and whether it did."""
    tls, broken, patience = proxy._tls, False, _Patience()
    while True:
        if not hasattr(tls, 'connection'):
            proxy._connect()
        conn, began, done = tls.connection, time.monotonic(), False
        try:
            conn.send((proxy._id, method, args, dict(kwds, glassq=aside)))
            kind, result = conn.recv()
            done = True
            return kind, result, broken
        except _broken:
            if patience.spent(began):
                raise
            broken = tls.glassq_broke = True
            if method == 'get':
                args, kwds = _longer(*args, **kwds), {}
        finally:
            if not done:
                _forget(tls)  # after Ctrl-C, too: a reply that is still to come is not that of the next call


def _longer(block=True, timeout=None):
    if not block:
        timeout = 0
    return True, None if timeout is None else max(timeout, _least_wait)


def _callmethod(plain):
    def callmethod(self, methodname, args=(), kwds={}):
        if not _is_ours(self):
            return plain(self, methodname, args, kwds)
        tls, aside = self._tls, {}
        held = getattr(tls, 'glassq_held', None)
        if held is not None:
            aside['of'] = held
        if methodname in ('put', 'put_nowait'):
            aside['id'] = 'py-' + uuid.uuid4().hex
        if methodname in ('get', 'get_nowait'):
            return _get(self, methodname, args, kwds, aside)
        kind, result, _ = _ask(self, methodname, args, kwds, aside)
        if kind == '#RETURN':
            tls.glassq_held = None
            return result
        if kind == '#ERROR' and getattr(tls, 'glassq_broke', False):
            if methodname == 'task_done' and isinstance(result, ValueError):
                return None  # the server counts from its start
            if 'id' in aside and isinstance(result, RuntimeError) and str(result).startswith('lease lost'):
                _note('an item was handed to somebody else while the server was away; this result of it is not stored')
                tls.glassq_held = None
                return None
        raise managers.convert_to_error(kind, result)
    return callmethod


def _get(proxy, method, args, kwds, aside):
    if method == 'get_nowait':
        method, args = 'get', (False,) + tuple(args)
    tls, aside = proxy._tls, dict(aside, asks=True)
    while True:
        kind, result, broken = _ask(proxy, method, args, kwds, aside)
        tls.glassq_held = None
        if kind != '#RETURN':
            raise managers.convert_to_error(kind, result)
        value, receipt = result
        kind, live, broke = _ask(proxy, 'hold', (), {}, {'of': receipt})
        if kind == '#RETURN' and live:
            tls.glassq_held = receipt
            return value
        aside.pop('of', None)  # the item is somebody else's, or ready again
        args, kwds = _longer(*args, **kwds), {}


def install(module):
    global managers
    managers = module
    module.dispatch = _dispatch(module.dispatch)
    for cls, name, wrap in (
            (module.BaseManager, 'connect', _connect), (module.BaseManager, 'start', _start),
            (module.BaseManager, 'get_server', _get_server), (module.BaseProxy, '_incref', _incref),
            (module.BaseProxy, '_callmethod', _callmethod)):
        wrapped = wrap(getattr(cls, name))
        wrapped.__name__, wrapped.__doc__ = name, getattr(cls, name).__doc__
        setattr(cls, name, wrapped)
