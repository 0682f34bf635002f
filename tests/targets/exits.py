"""A few changes of variables, then an exit status of 7."""

import sys


def work():
    a = 10
    b = a * 2
    del a
    return b


result = work()
sys.exit(7)
