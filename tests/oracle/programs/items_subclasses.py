"""Subclasses of list and dict, with and without their own __setitem__."""


class Quiet(list):
    pass


class Loud(dict):
    def __setitem__(self, key, value):
        stored = value
        super().__setitem__(key, value)

    def __delitem__(self, key):
        if key == "kept":
            raise KeyError(key)
        super().__delitem__(key)


class Cell:
    def __setitem__(self, key, value):
        self.last = value

    def __getitem__(self, key):
        return 1

    def __delitem__(self, key):
        self.last = None


quiet = Quiet([1, 2])
quiet[0] = 5
del quiet[1]
loud = Loud()
loud["a"] = 1
loud["a"] += 1
loud["kept"] = 2
try:
    del loud["kept"]
except KeyError:
    pass
del loud["a"]
cell = Cell()
cell[0] = 1
cell["k", 2] = 2
cell[1:2] = 3
cell[0] += 1
del cell[0]
del cell[:]
