"""Waits in read() until it is told to finish; prints how often it was told."""

import os


def wait_for_finish(descriptor):
    count = 0
    while os.read(descriptor, 1):
        count += 1
    return count + 1


os.write(int(os.environ["MEMTRACE_READY_FD"]), b"ready\n")
print(wait_for_finish(int(os.environ["MEMTRACE_FINISH_FD"])))
