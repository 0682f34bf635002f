"""Keys that only the program's own __hash__ could find."""


class Key:
    def __init__(self, text):
        self.text = text

    def __hash__(self):
        hashed = 1
        return hashed

    def __eq__(self, other):
        return type(other) is Key and self.text == other.text


class Index:
    def __index__(self):
        found = 1
        return found


key, same = Key("a"), Key("a")
d = {}
d[key] = 1
d[same] = 2
del d[key]
d[frozenset([1])] = 3
d[int] = 4
d[(key, 1)] = 5
xs = [1, 2, 3]
xs[Index()] = 20
index = Index()
xs[index] = 21
del xs[index]
