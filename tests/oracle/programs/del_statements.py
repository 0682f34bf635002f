"""del of every target."""


class Box:
    pass


a, b, c = 1, [1, 2, 3], {"k": 1}
box = Box()
box.x = box.y = 1
del a
del b[0], b[-1]
del c["k"]
del box.x
del (b, (c, box.y))
try:
    del a
except NameError:
    pass
try:
    del box.x
except AttributeError:
    pass


def function(argument):
    local = 1
    cell = 2

    def inner():
        nonlocal cell
        del cell

    inner()
    del local, argument
    try:
        local
    except UnboundLocalError:
        local = 2
    try:
        inner()
    except NameError:
        cell = 3
    del cell


function(1)
del function, Box
