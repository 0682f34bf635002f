# memtrace: value-size=512
"""Contents behind the first 64 items: a change in front is seen, the rest by length."""


def grow():
    xs = [0] * 20
    xs.append(1)
    d = dict.fromkeys(range(12))
    d[5] = 1
    d.update({5: 1})
    d.update({5: 2})
    xs[3] = 9
    xs.sort()
    xs.pop()
    del xs[2:]
    return xs


grow()
