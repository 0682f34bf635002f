"""Attributes that builtin types define themselves: __dict__, __class__, members, getsets."""
import functools


class One:
    pass


class Two:
    """Two."""


def function(a=1):
    return a


one = One()
one.x = 1
one.__dict__ = {"y": 2}
one.__class__ = Two
one.y = 3
function.__name__ = "renamed"
function.__defaults__ = (5,)
function.__doc__ = "documented"
function.__dict__ = {"z": 1}
function.z = 2
try:
    raise OSError(2, "text")
except OSError as error:
    error.errno = 5
    error.args = (1, 2)
    error.__cause__ = KeyError()
    error.own = 1
    error.own = 2
stop = StopIteration(1)
stop.value = 2
partial = functools.partial(function, 1)
partial.note = 1
partial.note = 2
Two.__name__ = "Deux"
Two.__doc__ = "Zwei."
Two.__module__ = "elsewhere"
Two.__qualname__ = "Due"
One.__init__ = function
One.__annotations__ = {}
