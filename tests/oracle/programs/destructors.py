"""__del__ that stores: the store that sets it off comes first."""
log = []


class Farewell:
    def __init__(self, name):
        self.name = name

    def __del__(self):
        gone = self.name
        log.append(gone)


x = Farewell("a")
x = Farewell("b")
x = None
x = Farewell("c")
del x
box = [Farewell("d")]
box[0] = 1
box = {"k": Farewell("e")}
del box["k"]
box["k"] = Farewell("f")
box["k"] = 2


class Holder:
    pass


holder = Holder()
holder.x = Farewell("g")
holder.x = 3
holder.x = Farewell("h")
del holder


def local(argument):
    y = Farewell("i")
    y = 1
    y = Farewell("j")
    argument = None
    return y


local(Farewell("k"))


def closure():
    z = Farewell("l")

    def inner():
        nonlocal z
        z = 1

    inner()
    global log
    w = Farewell("m")
    del w
    return inner


closure()
xs = [Farewell("n"), Farewell("o")]
xs.clear()
xs = [Farewell("p")]
xs[:] = []
xs += [Farewell("q")]
xs.pop()
