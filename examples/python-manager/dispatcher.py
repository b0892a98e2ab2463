"""Puts as many addresses as the first argument says; the second one is what they begin with."""
import sys
from manager import connect

tasks, _ = connect()
base = sys.argv[2] if len(sys.argv) > 2 else 'http://localhost/'
for n in range(int(sys.argv[1])):
    tasks.put('%s?n=%d' % (base, n))
