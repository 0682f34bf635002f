"""Every kind of parameter at once: the order is that of co_varnames."""


def every(a, b=2, /, c=3, *rest, d, e=5, **more):
    total = a + b + c + d + e
    return total


every(1, d=4)
every(1, 20, 30, 40, 50, d=4, e=6, f=7)
every(*[1, 2, 3], **{"d": 4, "z": 0})
