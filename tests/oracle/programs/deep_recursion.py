"""Far deeper than the usual limit."""
import sys

sys.setrecursionlimit(20000)


def down(n):
    left = n - 1
    if left:
        left = down(left)
    return left


depth = down(3000)
