"""All augmented operators on scalars; items, attributes, globals, cells."""


class Box:
    level = 1


n = 7
n += 1
n -= 2
n *= 3
n //= 4
n **= 2
n %= 9
n <<= 3
n >>= 1
n |= 1
n &= 6
n ^= 5
n /= 2
box = Box()
box.level += 1
box.level -= 1
d = {"k": 1}
d["k"] += 1
xs = [1, [2]]
xs[0] += 1
xs[1][0] *= 5
i = 0
xs[i] -= 1


def keyed():
    global i
    i += 1
    return i


xs[keyed() - 1] += 10


def outer():
    m = 1

    def inner():
        nonlocal m
        m += 1
        m += 0

    inner()
    m += 10
    m += "a" if m > 100 else 0
    try:
        m += "a"
    except TypeError:
        pass
    return m


outer()
d["k"] += d["k"]
