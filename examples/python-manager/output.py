"""Prints as many results as the first argument says, then how many were ok."""
import sys
from manager import connect

_, results = connect()
ok = 0
for _ in range(int(sys.argv[1])):
    record = results.get(timeout=20)
    ok += record['o']['ok']
    print(record['i'])
print('ok %d' % ok)
