"""A thread that crashes (SIGSEGV), or ends the process, in the middle of `memtrace on`: when the
helper makes its buffer.

    crashes.py LIBRARY crash|end     its go_wrong() does it; preloaded, it knows the moment"""

import ctypes
import os
import sys
import threading

ready = int(os.environ["MEMTRACE_READY_FD"])
finish = int(os.environ["MEMTRACE_FINISH_FD"])
library = ctypes.CDLL(sys.argv[1])
go_wrong = library.go_wrong
threading.Thread(target=go_wrong, args=(sys.argv[2] == "crash",), daemon=True).start()
os.write(ready, b"ready\n")
os.read(finish, 1)
