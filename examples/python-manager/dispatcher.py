"""Puts as many addresses as the first argument says."""
import sys
from manager import connect

tasks, _ = connect()
for n in range(int(sys.argv[1])):
    tasks.put('http://localhost/?n=%d' % n)
