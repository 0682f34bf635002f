"""with: as, several managers, tuple targets, suppressed exceptions."""


class Manager:
    def __init__(self, name):
        self.name = name

    def __enter__(self):
        entered = self.name
        return (entered, self)

    def __exit__(self, kind, value, trace):
        self.left = kind is not None
        return kind is KeyError


with Manager("a") as a:
    inside = 1
with Manager("b") as (b, manager), Manager("c") as c:
    inside = 2
with (Manager("d") as d, Manager("e")):
    raise KeyError
with Manager("f") as a[1].slot:
    pass
table = {}
with Manager("g") as table["k"]:
    pass


def function():
    with Manager("h") as h:
        for i in range(2):
            with Manager(i) as inner:
                if i:
                    return h
    return None


function()
try:
    with Manager("i") as i:
        raise ValueError
except ValueError:
    i = None
