"""Positional arguments, with and without defaults, positional-only."""


def plain(a, b, c=3):
    return a


def only(a, b=2, /, c=3):
    return c


plain(1, 2)
plain(1, 2, 4)
plain(c=7, b=6, a=5)
only(1)
only(1, 3, c=4)
try:
    plain(1)
except TypeError:
    pass
