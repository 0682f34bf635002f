"""In-place operators that work on numbers for a while, and on a container then: in the same call,
in another one, in a generator that was suspended with it, in one that was thrown into."""


def rebinds(n):
    x = 0
    for i in range(n):
        x += i
    x = []
    for i in range(n):
        x += [i]
    return x


def takes(x, more):
    x += more
    x += more
    return x


def keeps(x, more):
    while True:
        x += more
        yield x


def survives(x, more):
    while True:
        try:
            x += more
            yield x
        except ValueError:
            more = more * 2


def recurses(n, more):
    x = more * 0
    if n:
        recurses(n - 1, [n] if n == 2 else 1)
    x += more
    x += more


def many(xs):
    a = b = c = d = e = f = 0
    for i in range(3):
        a += 1
        b += 1
        c += 1
        d += 1
        e += 1
        f += 1
    a = b = c = d = e = f = xs
    a += [1]
    b += [2]
    c += [3]
    d += [4]
    e += [5]
    f += [6]


def pops(xs):
    x = 0
    while xs:
        x += xs.pop()
    return x


def unpacks(pairs):
    total = seen = 0
    for total, seen in pairs:
        total += seen
        seen += total
    return total


def closes(x):
    def adds(y):
        nonlocal x
        x += y
        return x

    adds(x)
    x = [x]
    adds([2])


rebinds(4)
takes(1, 2)
held = keeps([], [0])
next(held)
number = keeps(1, 2)
next(number)
next(number)
next(held)
next(number)
thrown, other = survives([9], [8]), survives(1, 2)
next(other)
next(other)
next(thrown)
thrown.throw(ValueError)
other.throw(ValueError)
next(thrown)
takes([1], [2])
takes("a", "b")
takes(bytearray(b"a"), b"b")
recurses(3, 1)
many([0])
pops([1, 2, 3])
unpacks([(1, 2), ([3], [4]), (5, 6)])
closes(1)
