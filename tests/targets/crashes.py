"""A thread that crashes (SIGSEGV), or ends the process, as soon as a memtrace helper is mapped:
in the middle of `memtrace on`.

    crashes.py LIBRARY crash|end     its go_wrong() does it"""

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
