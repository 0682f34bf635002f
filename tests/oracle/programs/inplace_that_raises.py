"""In-place operators that raise, after changing the contents or before."""


def numbers(count):
    for n in range(count):
        yield n
    raise ValueError("no more")


class Box:
    def __init__(self):
        self.items = []


xs = [9]
try:
    xs += numbers(2)
except ValueError:
    pass
try:
    xs += numbers(0)
except ValueError:
    pass
try:
    xs += 5
except TypeError:
    pass
box = Box()
try:
    box.items += numbers(1)
except ValueError:
    pass
d = {"k": [1]}
try:
    d["k"] += numbers(1)
except ValueError:
    pass


def local():
    ys = []
    try:
        ys += (
            numbers(2)
        )
    except ValueError as error:
        ys += [error.args[0]]
    return ys


local()
try:
    d |= [(1, 2), 3]
except TypeError:
    pass
