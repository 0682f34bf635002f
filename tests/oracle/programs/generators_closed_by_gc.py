"""A suspended generator whose last reference goes: its finally runs then."""
log = []


def worker(name):
    state = "open"
    try:
        yield name
    finally:
        state = "closed"
        log.append(state)


it = worker("a")
next(it)
del it
it = worker("b")
next(it)
it = None


def local():
    inner = worker("c")
    next(inner)
    inner = 1
    other = worker("d")
    next(other)
    return inner


local()
cycle = [worker("e")]
next(cycle[0])
cycle.append(cycle)
cycle = None
import gc

gc.collect()
