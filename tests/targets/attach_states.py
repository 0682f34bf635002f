"""Is in one state of those in which somebody may attach, until it is told to finish; then
prints "right" if everything came out as it should, else what did not.

    attach_states.py sleep|bytecode|accept|select|join|lock|native|allocator|gil|held

System calls are made by ctypes where Python would hide that one was cut short (EINTR). In
accept, select, join and lock another thread computes meanwhile. held has the path of a pipe
behind it."""

import ctypes
import hashlib
import os
import re
import select
import socket
import sys
import threading
import time

libc = ctypes.CDLL(None, use_errno=True)
ready = int(os.environ["MEMTRACE_READY_FD"])
finish = int(os.environ["MEMTRACE_FINISH_FD"])
faults = []
finishing = threading.Event()


class Timespec(ctypes.Structure):
    _fields_ = [("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long)]


class Pollfd(ctypes.Structure):
    _fields_ = [("fd", ctypes.c_int), ("events", ctypes.c_short), ("got", ctypes.c_short)]


def say_ready():
    os.write(ready, b"ready\n")


def finish_is_due():
    return bool(select.select([finish], [], [], 0)[0])


def check(condition, what):
    if not condition:
        faults.append(what)


def wait_for_finish():
    os.read(finish, 1)
    finishing.set()


def spin():
    total = 0
    for i in range(1000):
        total += i
    check(total == 499500, f"sum is {total}")


def spin_until_finish():
    while not finishing.is_set():
        spin()


def in_sleep():
    second = Timespec(0, 500_000_000)
    say_ready()
    while not finish_is_due():
        begin = time.monotonic()
        result = libc.clock_nanosleep(1, 0, ctypes.byref(second), None)
        check(result == 0, f"clock_nanosleep gave {result}")
        elapsed = time.monotonic() - begin
        # What gdb stopped it for counts: on a busy machine that is many seconds.
        check(0.5 <= elapsed < 100, f"slept {elapsed} s")


def in_bytecode():
    say_ready()
    while not finish_is_due():
        spin()


def beside_others(wait, release):
    """`wait()` on the main thread, until release() by one of two others."""
    computes = threading.Thread(target=spin_until_finish)
    computes.start()

    def end():
        wait_for_finish()
        release()

    ends = threading.Thread(target=end)
    ends.start()
    say_ready()
    wait()
    ends.join()
    computes.join()


def in_accept():
    server = socket.socket()
    server.bind(("127.0.0.1", 0))
    server.listen()
    client = socket.socket()

    def wait():
        ctypes.set_errno(0)
        descriptor = libc.accept(server.fileno(), None, None)
        check(descriptor >= 0, f"accept: {os.strerror(ctypes.get_errno())}")

    beside_others(wait, lambda: client.connect(server.getsockname()))


def in_select():
    readable, writable = os.pipe()

    def wait():
        one = Pollfd(readable, 1, 0)
        ctypes.set_errno(0)
        count = libc.poll(ctypes.byref(one), ctypes.c_ulong(1), -1)
        check(count == 1, f"poll gave {count}: {os.strerror(ctypes.get_errno())}")

    beside_others(wait, lambda: os.write(writable, b"x"))


def in_join():
    go = threading.Event()
    other = threading.Thread(target=go.wait)
    other.start()
    beside_others(other.join, go.set)
    check(not other.is_alive(), "joined a thread that lives")


def in_lock():
    lock = threading.Lock()
    lock.acquire()
    beside_others(lock.acquire, lock.release)
    check(lock.locked(), "lock is free")


def in_native():
    def digest():
        return hashlib.pbkdf2_hmac("sha256", b"password" * 100, b"salt", 200_000)

    right = digest()
    say_ready()
    while not finish_is_due():
        check(digest() == right, "digest is wrong")


def in_allocator():
    say_ready()
    while not finish_is_due():
        kept = [bytes(3000 + i) for i in range(200)]
        check(sum(map(len, kept)) == 619900, "lengths are wrong")


def in_gil():
    say_ready()
    while not finish_is_due():
        check(re.match("(a+)+$", "a" * 21 + "b") is None, "matched")


def in_held():
    """As in_gil(), for as long as somebody likes: while nothing can be read from argv[2]."""
    gate = Pollfd(os.open(sys.argv[2], os.O_RDWR), 1, 0)
    holds_the_gil = ctypes.PyDLL(None)
    say_ready()
    while not finish_is_due():
        count = holds_the_gil.poll(ctypes.byref(gate), ctypes.c_ulong(1), -1)
        check(count == 1, f"poll gave {count}")


globals()["in_" + sys.argv[1]]()
print("; ".join(faults) or "right")
