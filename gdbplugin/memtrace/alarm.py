"""A time limit on what gdb waits for: a SIGINT to gdb itself, as if somebody had typed ^C.

gdb 13 has no time limit for a function that it calls in the debuggee, nor for `continue`;
while it waits, gdb's Python holds its interpreter lock, so no thread of ours could end the
wait. A POSIX timer can: the kernel sends the signal, gdb stops the process as for ^C.

gdb's main thread only. No gdb import."""

from __future__ import annotations

import ctypes
import os
import signal
from contextlib import contextmanager
from typing import Iterator

_CLOCK_MONOTONIC = 1
_SIGEV_SIGNAL = 0


class _Timespec(ctypes.Structure):
    _fields_ = [("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long)]


class _Itimerspec(ctypes.Structure):
    _fields_ = [("interval", _Timespec), ("value", _Timespec)]


class _Sigevent(ctypes.Structure):
    _fields_ = [
        ("value", ctypes.c_void_p),
        ("signal", ctypes.c_int),
        ("notify", ctypes.c_int),
        ("rest", ctypes.c_char * 48),
    ]


class Alarm:
    """What time_limit() gives. `fired`: the time was over before the block ended."""

    def __init__(self) -> None:
        self.fired = False


@contextmanager
def time_limit(seconds: float) -> Iterator[Alarm]:
    """Interrupt what gdb waits for after `seconds`. The block sees gdb.error or a process that
    has stopped by SIGINT; on leaving it, `fired` says whether that was the alarm. A signal
    that came after the wait was over is taken back, as far as gdb itself is concerned."""
    alarm = Alarm()
    libc = ctypes.CDLL(None, use_errno=True)
    timer = ctypes.c_void_p()
    event = _Sigevent(signal=signal.SIGINT, notify=_SIGEV_SIGNAL)
    if libc.timer_create(_CLOCK_MONOTONIC, ctypes.byref(event), ctypes.byref(timer)):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    whole = int(seconds)
    spec = _Itimerspec(value=_Timespec(whole, int((seconds - whole) * 1e9) or 1))
    libc.timer_settime(timer, 0, ctypes.byref(spec), None)
    try:
        yield alarm
    finally:
        left = _Itimerspec()
        libc.timer_gettime(timer, ctypes.byref(left))
        libc.timer_delete(timer)
        alarm.fired = not (left.value.seconds or left.value.nanoseconds)
        if alarm.fired:
            _absorb()


def _absorb() -> None:
    """gdb hands a ^C that nothing waited for to Python, which raises it at a next bytecode."""
    try:
        for _ in range(1000):
            pass
    except KeyboardInterrupt:
        pass
