"""Chained, tuple, starred, nested assignment; order of the stores."""


class Box:
    pass


box = Box()
a = b = c = [1]
a, b = 1, 2
a, b = b, a
a, b, c = b, c, a
x = y = a
(a, (b, *c)), d = (1, (2, 3, 4)), 5
first, *middle, last = "abcd"
*init, end = [1]
[p, q] = {1: 2, 3: 4}
box.a, box.b = box.c = 1, 2
xs = [0, 0]
i, xs[i] = 1, 9
xs[0], xs[1] = xs[1], xs[0]
xs[0] = xs[0], xs[1] = [5], [6]
one = 1; one = 2; del one
a, a, a = 1, 2, 3
(single,) = [a]
() = []


def local():
    a = b = []
    a, *b = 1, 2, 3
    a, b = b, a
    a, b, *c = a + [b, b]
    return a


local()
annotated: int = 1
box.d: int = 2
xs[0]: int = 3
