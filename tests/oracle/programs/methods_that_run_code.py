"""Methods that run the program's code: its events come first."""
log = []


def key(value):
    log.append(value)
    seen = value
    return -seen


def numbers():
    yield 1
    log.clear()
    yield 2


def failing():
    yield 7
    raise KeyError


class Odd:
    def __init__(self, n):
        self.n = n

    def __eq__(self, other):
        compared = self.n
        return compared == getattr(other, "n", None)

    def __hash__(self):
        hashed = self.n
        return hashed


xs = [1, 2]
xs.sort(key=key)
xs.extend(numbers())
try:
    xs.extend(failing())
except KeyError:
    pass
try:
    xs.sort(key=failing)
except TypeError:
    pass
xs.sort(key=lambda v: log.append(v) or -v)
s = set()
s.add(Odd(1))
s.add(Odd(1))
d = {}
d.setdefault(Odd(2), []).append(1)
ys = [Odd(3)]
ys.remove(Odd(3))
xs.append(xs.pop())
xs.append(len(xs) if log else [xs.pop(), 1])
