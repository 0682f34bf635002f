"""Waits with room for 40 MiB more in its address space."""

import os
import resource

with open("/proc/self/statm") as file:
    pages = int(file.read().split()[0])
limit = pages * resource.getpagesize() + 40 * 1024 * 1024
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
os.write(int(os.environ["MEMTRACE_READY_FD"]), b"ready\n")
os.read(int(os.environ["MEMTRACE_FINISH_FD"]), 1)
print("right")
