# memtrace: rebound=1
"""Equal values stored again, with rebound on."""
import collections

a = 1
a = 1
a = True
a = True
a = 1.0
big = 10 ** 30
big = 10 ** 30 + 0
text = "ab"
text = "".join(["a", "b"])
none = None
none = None
xs = [1]
xs = xs
xs += []
xs += [2]
xs.extend([])
xs[0] = 1
d = {"k": "v"}
d["k"] = "v"
d["k"] = d["k"]
t = (1, 2)
t = (1, int("2"))
t = t


class Box:
    value = 1

    def __init__(self, value):
        self.value = value


box = Box(1)
box.value = 1
box.value = 2
Box.value = 1


def local(n):
    n = n
    for n in (1, 1):
        pass

    def inner():
        nonlocal n
        n = 1

    inner()
    return n


local(1)
nan = float("nan")
nan = nan
nan = float("nan")
zero = 0.0
zero = -0.0
