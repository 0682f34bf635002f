"""When objects die: the order of __del__, weakref callbacks and finalizers."""
import gc
import sys
import weakref

log = []


class Thing:
    def __init__(self, name):
        self.name = name

    def __del__(self):
        log.append(f"del {self.name}")


def watch(thing):
    name = thing.name
    weakref.finalize(thing, log.append, f"finalize {name}")
    return weakref.ref(thing, lambda reference: log.append(f"callback {name}"))


def mark(text):
    log.append(text)


kept = []


def local():
    a = Thing("a")
    kept.append(watch(a))
    mark("before a = None")
    a = None
    mark("after a = None")
    b = Thing("b")
    kept.append(watch(b))
    b = Thing("c")
    mark("after b")
    del b
    mark("after del b")
    d, e = Thing("d"), Thing("e")
    d, e = e, d
    d = e = None
    mark("swapped")
    for f in map(Thing, "fg"):
        mark(f"loop {f.name}")
    f = None
    mark("loop over")
    [h for h in map(Thing, "hi")]
    mark("comprehension over")
    xs = [Thing("j"), Thing("k"), Thing("l")]
    xs[0] = None
    mark("item")
    del xs[1]
    mark("item deleted")
    xs[:] = []
    mark("slice")
    xs += [Thing("m")]
    xs.pop()
    mark("popped")
    holder = Thing("n")
    holder.part = Thing("o")
    holder.part = None
    mark("attribute")
    holder.part = Thing("p")
    del holder.part
    mark("attribute deleted")
    table = {"k": Thing("q")}
    table["k"] = Thing("r")
    mark("dict item")
    table.clear()
    mark("dict cleared")
    try:
        raise KeyError(Thing("s"))
    except KeyError as error:
        mark("in except")
    mark("after except")
    last = Thing("t")
    return len(xs)


def arguments(first, *rest, key):
    kept.append(watch(first))
    first = None
    mark("argument replaced")
    rest = None
    mark("rest replaced")
    del key
    mark("key deleted")


def generator():
    thing = Thing("generator's")
    try:
        yield 1
    finally:
        mark("finally")


local()
mark("returned")
arguments(Thing("u"), Thing("v"), key=Thing("w"))
mark("arguments returned")
it = generator()
next(it)
del it
mark("generator gone")
first, second = Thing("cycle 1"), Thing("cycle 2")
first.other, second.other = second, first
kept += [watch(first), watch(second)]
del first, second
mark("cycle left")
gc.collect()
mark("collected")
print("\n".join(log))
print(len(kept), [reference() for reference in kept])
print(sys.gettrace())
