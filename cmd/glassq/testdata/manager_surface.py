import sys, threading, datetime, decimal, uuid, time
from multiprocessing.managers import BaseManager
try: import queue
except ImportError: import Queue as queue
class M(BaseManager): pass
M.register('get_task_queue'); M.register('get_result_queue'); M.register('get_x_queue')
m=M(address=("127.0.0.1", int(sys.argv[1])), authkey=b"secret"); m.connect()
t0=time.time(); t=m.get_task_queue(); assert time.time()-t0<1; r=m.get_result_queue(); x=m.get_x_queue()
assert t.empty() and t.qsize()==0
t.put('http://h/1'); t.put('put'); assert t.qsize()==2 and not t.full()
assert t.get(timeout=10)=='http://h/1'
r.put({'i':'http://h/1','o':{'ok':1,'rt':0.5}})
assert t.get(True,5)=='put'
assert t.empty()
assert r.get()=={'i':'http://h/1','o':{'ok':1,'rt':0.5}}
for f in (lambda:t.get_nowait(),lambda:t.get(False),lambda:t.get(timeout=0.05)):
    try: f(); assert 0
    except queue.Empty: pass
vals=[1,-5,2**40,2**100,1.5,None,True,u'\xe9',u'uni','s',b'\x00\xff',[1,[2]],(1,(2,'a')),{'a':(1,)},{1:2},set([1,2]),datetime.datetime(2024,1,2),decimal.Decimal('1.50'),uuid.UUID(int=7),'x'*70000,['y'*30000,(1,)]*3]
for v in vals:
    x.put(v); g=x.get(timeout=5); assert g==v and type(g)==type(v),(v,g)
class C(object): pass
try: x.put(C()); assert 0
except TypeError: pass
try: x.get(timeout=-1); assert 0
except ValueError: pass
th=threading.Thread(target=lambda: x.put('thread')); th.start(); assert x.get(timeout=10)=='thread'; th.join()
x.qsize()
print('ok '+sys.version.split()[0])
