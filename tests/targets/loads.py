"""One thread loads the library that it is given, whose constructor takes its time, while the
main thread waits. Says when the constructor runs, and when it has returned.

    loads.py LIBRARY"""

import ctypes
import os
import sys
import threading

loader = threading.Thread(target=ctypes.CDLL, args=(sys.argv[1],))
loader.start()
os.read(int(os.environ["MEMTRACE_FINISH_FD"]), 1)
loader.join()
print("right")
