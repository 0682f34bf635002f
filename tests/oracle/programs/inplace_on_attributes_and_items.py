"""In-place operators whose result goes to an attribute or an item."""


class Box:
    shared = []

    def __init__(self):
        self.items = []
        self.table = {"k": [1]}
        self.hidden = []

    @property
    def view(self):
        return self.hidden

    @view.setter
    def view(self, value):
        self.hidden = value

    def fill(self):
        self.items += [1]
        self.table |= {"n": 2}
        self.table["k"] += [2]
        self.shared += [3]
        self.view += [4]


box = Box()
box.fill()
box.fill()
Box.shared += [5]
rows = [[1], [2]]
i = 1
rows[i] += [3]
rows[-1] += [4]
rows[0] *= 2
rows[i] += []
matrix = {"a": {"b": {1}}}
matrix["a"]["b"] |= {2}


def get():
    return box


get().items += [6]
pair = ([1], 2)
try:
    pair[0] += [9]
except TypeError:
    pass
