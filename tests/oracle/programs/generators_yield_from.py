"""yield from: delegation, return values, throw through."""


def inner(n):
    got = yield n
    try:
        again = yield got
    except KeyError:
        again = "caught"
    return again


def outer():
    first = yield from inner(1)
    second = yield from inner(2)
    third = yield from [first, second]
    return third


it = outer()
a = next(it)
b = it.send("x")
c = it.throw(KeyError)
d = next(it)
e = it.send("y")
rest = list(it)
