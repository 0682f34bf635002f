"""Has a tracer of its own, as under coverage or a debugger, until SIGUSR1 comes; then changes a
variable. With the argument "worker" there is a second thread, without a tracer."""

import os
import signal
import sys
import threading


def add(count):
    count = count + 1
    return count


class Watcher:
    def watch(self, frame, event, argument):
        return self.watch


signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
finished = threading.Event()
if "worker" in sys.argv:
    threading.Thread(target=finished.wait).start()
sys.settrace(Watcher().watch)
ready = int(os.environ["MEMTRACE_READY_FD"])
finish = int(os.environ["MEMTRACE_FINISH_FD"])
os.write(ready, b"ready\n")
signal.sigwait([signal.SIGUSR1])
seen = add(0)
sys.settrace(None)
count = add(41)
os.write(ready, b"left\n")
os.read(finish, 1)
finished.set()
print(count)
