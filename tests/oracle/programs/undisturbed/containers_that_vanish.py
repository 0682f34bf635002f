"""Containers that are freed while a method, an operator or a store works on them."""
log = []


class Vanishing:
    def __init__(self, name):
        self.name = name

    def __del__(self):
        log.append(self.name)
        self.owner = None


def take(value):
    global xs
    xs = None
    return value


def numbers():
    global xs
    xs = None
    yield 1
    yield 2


xs = [3, 1, 2]
xs.sort(key=take)
xs = [3, 1]
xs.extend(numbers())
xs = [1]
xs += numbers()
print(xs)
table = {"k": [Vanishing("a"), 2]}


def drop(value):
    table.clear()
    return 0


table["k"].sort(key=drop)
print(table, log)


class Key:
    def __hash__(self):
        holder.items = None
        return 1


class Holder:
    pass


holder = Holder()
holder.items = {}
holder.items[Key()] = Vanishing("b")
holder.items = {}
holder.items.setdefault(Key(), Vanishing("c"))
print(log, holder.items)


class Owner:
    def __setattr__(self, name, value):
        global owner
        owner = None
        object.__setattr__(self, name, value)

    def __setitem__(self, key, value):
        global owner
        owner = None
        del self


owner = Owner()
owner.part = Vanishing("d")
owner = Owner()
owner[0] = [Vanishing("e")]
print(log, owner)


class Index:
    def __index__(self):
        xs.clear()
        return 0


xs = [Vanishing("f"), 1]
try:
    xs[Index()] = 5
except IndexError as error:
    print(error)
xs = [1, 2, 3]
xs[:] = (xs.clear() or n for n in (7, 8))
print(xs, log)
big = [[n] for n in range(100)]
for inner in big:
    big[0] = None
    big.pop()
    inner += [1]
    inner = None
print(len(big))
