"""In-place operators on slices: the operand is a copy, whatever the slice is written as."""


class Box:
    def __init__(self):
        self.items = [1, 2, 3]


def local(box, start):
    part = slice(1, 2)
    xs = [1, 2, 3]
    xs[1:] += [None]
    xs[start:] += [4]
    xs[part] += [5]
    box.items[1:] += [None]
    box.items[part] += [6]
    box.items[start::2] *= 1
    raise KeyError(xs)


box = Box()
try:
    local(box, 1)
except KeyError as error:
    seen = error.args[0]
rows = [[1, 2], [3]]
rows[0][slice(0, 1)] += [7]
rows[slice(0, 1)] += [[8]]
rows[1] += [9]
