"""Weak reference callbacks that store."""
import weakref

log = []


class Thing:
    pass


def gone(reference):
    dead = reference() is None
    log.append(dead)


thing = Thing()
reference = weakref.ref(thing, gone)
thing = None
thing = Thing()
other = weakref.ref(thing, lambda r: log.append("lambda"))
weakref.finalize(thing, gone, lambda: 1)
del thing
values = weakref.WeakValueDictionary()
thing = Thing()
values["k"] = thing
thing = 1
size = len(values)


def local():
    inner = Thing()
    callback = weakref.ref(inner, gone)
    inner = 2
    return callback


local()
