"""Stores whose code stores in its turn, many levels deep, some of which raise."""


class Chain:
    def __init__(self, depth):
        object.__setattr__(self, "depth", depth)

    def __setattr__(self, name, value):
        if self.depth:
            if value == self.depth:
                raise ValueError(value)
            inner = Chain(self.depth - 1)
            inner.link = value
        object.__setattr__(self, name, value)

    def __setitem__(self, key, value):
        items = []
        items.extend(self.numbers(value))
        items.sort(key=self.key)
        if value > 1:
            self[key] = value - 1
        self.last = -1

    def numbers(self, n):
        for i in range(n):
            step = i
            yield step

    def key(self, n):
        keys = [n]
        keys.append(n)
        return -n

    def __iadd__(self, other):
        self.total = -other
        return self


chain = Chain(5)
chain.top = -1
for n in (3, 5):
    try:
        chain.top = n
    except ValueError as error:
        caught = error.args[0]
chain[0] = 3
chain += 4
deep = Chain(30)
deep.top = -1
