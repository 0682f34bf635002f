"""Children that go on running Python after a fork: from the main thread, from another, nested."""

import os
import sys
import threading


def work(n):
    total = 0
    for i in range(n):
        total += i
    return total


def traced_by_the_child():
    """A tracer of the child's own."""
    lines = []

    def trace(frame, event, argument):
        lines.append(event)
        return trace

    sys.settrace(trace)
    work(2)
    sys.settrace(None)
    return lines.count("call"), lines.count("line") > 4


def child():
    thread = threading.Thread(target=work, args=(10,))
    thread.start()
    thread.join()
    grandchild = os.fork()
    if grandchild == 0:
        os._exit(work(4))
    status = os.waitpid(grandchild, 0)[1]
    return work(5) == 10 and status == 6 << 8 and traced_by_the_child() == (1, True)


def fork_and_wait(what):
    pid = os.fork()
    if pid == 0:
        good = False
        try:
            good = child()
        finally:
            os._exit(7 if good else 1)
    print(what, os.waitpid(pid, 0)[1])


fork_and_wait("main thread")
other = threading.Thread(target=fork_and_wait, args=("another thread",))
other.start()
other.join()
print(work(100))
