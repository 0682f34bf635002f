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
class Cycle:
    pass


cycle = Cycle()
cycle.it = worker("e")
next(cycle.it)
cycle.me = cycle
cycle = None
import gc

gc.collect()
