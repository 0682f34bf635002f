"""One container under several names: the event names the one that was used."""
a = [1]
b = a
b.append(2)
a += [3]
table = {"xs": a}
table["xs"].append(4)
table["xs"] += [5]


class Box:
    def __init__(self, items):
        self.items = items


box = Box(a)
box.items += [6]
box.items[0] = 7


def function(items):
    items.append(8)
    items += [9]
    items = items + [10]
    return items


function(a)
b = function(a[:1])
