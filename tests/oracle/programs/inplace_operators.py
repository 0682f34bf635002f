"""In-place operators on containers: MUTATED with contents before and after."""
import collections

xs = [1]
xs += [2]
xs *= 2
xs += []
xs *= 1
d = {"a": 1}
d |= {"b": 2}
d |= {"b": 2}
s = {1, 2}
s |= {3}
s &= {1, 3}
s -= {9}
s ^= {1, 7}
ba = bytearray(b"a")
ba += b"b"
ba *= 2
q = collections.deque([1])
q += [2, 3]
t = (1,)
t += (2,)
n = 1
n += 1
n += 0
text = "a"
text += "b"


def local(ys):
    ys += [1]
    zs = ys
    zs += [2]

    def inner():
        nonlocal zs
        zs += [3]

    inner()
    global xs
    xs += [9]
    return ys


local([0])
