"""Two threads that change variables until they are told to finish: the main thread counts in
tick(), the other one sums up in worker()."""

import os
import select
import threading


def tick(count):
    count = count + 1
    return count


def worker():
    total = 0
    while not finished.wait(0.002):
        total += 1


finished = threading.Event()
thread = threading.Thread(target=worker)
thread.start()
ready = int(os.environ["MEMTRACE_READY_FD"])
finish = int(os.environ["MEMTRACE_FINISH_FD"])
os.write(ready, b"ready\n")
count = ticks = 0
while not select.select([finish], [], [], 0.002)[0]:
    count = tick(count)
    ticks += 1
finished.set()
thread.join()
print("equal" if count == ticks else "different")
