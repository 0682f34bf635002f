"""The scope and name of a mutation: what stands before the dot."""


class Box:
    def __init__(self):
        self.items = []

    def get(self):
        return self.items


shared = []
box = Box()
rows = [[], []]
table = {"k": [], 1: {"n": set()}}
i = 1


def function(argument):
    local = []
    cell = []

    def inner():
        cell.append(1)
        nonlocal argument
        argument.append(2)

    inner()
    cell.append(3)
    local.append(4)
    argument.append(5)
    shared.append(6)
    box.items.append(7)
    return local


function([])
shared.append(8)
box.items.append(9)
rows[0].append(10)
rows[i].append(11)
rows[-1].append(12)
rows[i - 1].append(13)
table["k"].append(14)
table[1]["n"].add(15)
box.get().append(16)
[].append(17)
(shared or rows).append(18)
append = shared.append
append(19)
list.append(shared, 20)
getattr(shared, "append")(21)
shared.append(
    22
)
(
    shared
    .append(23)
)
box.get()[0:1].append(24)
box.get.__self__.items.append(25)
function([]).append(26)
