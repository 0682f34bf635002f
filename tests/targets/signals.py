"""Sends itself SIGUSR1 and waits for it, again and again; prints "right" when none was lost.

Each one is waited for before the next is sent, so that two can't become one."""

import os
import select
import signal
import threading

received = threading.Semaphore(0)
signal.signal(signal.SIGUSR1, lambda number, frame: received.release())
finish = int(os.environ["MEMTRACE_FINISH_FD"])
os.write(int(os.environ["MEMTRACE_READY_FD"]), b"ready\n")
lost = 0
while not select.select([finish], [], [], 0)[0]:
    os.kill(os.getpid(), signal.SIGUSR1)
    if not received.acquire(timeout=20):
        lost += 1
print(f"{lost} lost" if lost else "right")
