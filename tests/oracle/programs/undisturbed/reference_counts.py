"""Reference counts at every step: nobody else holds the program's objects."""
import gc
import sys
import weakref

count = sys.getrefcount


class Thing:
    pass


def locals_and_arguments(argument):
    first = Thing()
    print("local", count(first), count(argument))
    second = first
    print("alias", count(first))
    second = None
    print("alias gone", count(first))
    argument = first
    print("argument stored", count(first))
    del argument
    print("argument deleted", count(first))
    big = 10 ** 30 + len(sys.argv[:0])
    text = "".join(["ab", "cd"])
    items = [first, big, text]
    print("in a list", count(first), count(big), count(text), count(items))
    items += [items.pop()]
    items.append(first)
    items[0] = None
    items[1:2] = [first, first]
    print("moved about", count(first), count(big), count(text), count(items))
    items.clear()
    print("cleared", count(first), count(items))
    return first


def closures():
    held = Thing()

    def inner():
        nonlocal held
        before = count(held)
        held = Thing()
        return before, count(held)

    print("closure", inner(), count(held), count(inner))


def attributes():
    owner, value = Thing(), Thing()
    owner.value = value
    owner.other = value
    print("attributes", count(value), count(owner), len(gc.get_referrers(value)))
    owner.value = 1
    del owner.other
    print("attributes gone", count(value), count(owner))
    print("instance without a dict of its own:",
          not any(type(part) is dict for part in gc.get_referents(owner)))
    Thing.shared = value
    print("class", count(value))
    del Thing.shared
    table = {"k": value}
    table["k"] = value
    table.update(m=value)
    table |= {"n": value}
    print("items", count(value), count(table))
    del table["k"], table["m"]
    print("items gone", count(value))


def generators():
    def numbers(thing):
        got = yield count(thing)
        yield count(got)

    thing = Thing()
    it = numbers(thing)
    print("generator", next(it), it.send(thing), count(thing), count(it))
    alive = weakref.ref(thing)
    it.close()
    print("closed", count(thing))
    del it, thing
    print("dead", alive() is None)


thing = locals_and_arguments(Thing())
print("returned", count(thing))
closures()
attributes()
generators()


class Problem(Exception):
    pass


try:
    raise Problem("v")
except Problem as error:
    print("exception", count(error))
    kept = weakref.ref(error)
print("exception dead", kept() is None)
frame = sys._getframe()
print("frame", frame.f_trace, sys.gettrace(), sys.getprofile())
