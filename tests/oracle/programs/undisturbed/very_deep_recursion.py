"""Recursion deeper than the C stack could hold: CPython 3.11 needs none of it."""
import sys
import threading

sys.setrecursionlimit(1_000_000)


def down(n):
    left = n - 1
    if left:
        return down(left)
    return n


def walk(items):
    for item in items:
        inner = item
        yield from walk(inner)
    yield len(items)


print(down(60_000))
nested = []
for _ in range(300):
    nested = [nested]
print(sum(walk(nested)))
thread = threading.Thread(target=lambda: print(down(60_000)))
thread.start()
thread.join()
