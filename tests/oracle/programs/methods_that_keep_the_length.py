"""Mutating calls that leave a container as long as it was, changed or not, and others."""
import collections


class Refills:
    """An index that changes the list it is an index of."""

    def __init__(self, items, index):
        self.items, self.index = items, index

    def __index__(self):
        self.items.append("new")
        return self.index


class Same:
    """Equal to whatever it is compared with, and hashed like 5."""

    def __hash__(self):
        return 5

    def __eq__(self, other):
        return True


def swaps(items):
    items[0] = "swapped"
    return
    yield


def lists():
    xs = [1, 2, 3]
    xs.append(xs.pop())
    xs.pop(Refills(xs, 0))
    xs.insert(Refills(xs, 1), "inserted")
    xs.extend([])
    xs.extend(())
    xs.extend([7, 8])
    xs.extend(swaps(xs))
    xs.insert(-1, 0)
    xs.pop(-1)
    xs.sort(key=str)
    xs.sort(key=str)
    xs += []
    xs += ()
    xs += [1]
    xs += swaps(xs)
    xs *= 1
    del xs[:]
    try:
        xs.pop()
    except IndexError:
        pass
    try:
        xs.append(1, 2)
    except TypeError:
        pass
    long = list(range(80))
    long.append(80)
    long.pop()
    long.pop(0)
    long.insert(0, 0)
    long += [1]
    long += []
    long.extend(())
    long.__setitem__(0, 0)


def dicts():
    d = {"a": 1, 5: 2}
    d.setdefault("a", 3)
    d.setdefault("b", 3)
    d.pop("b")
    d.pop("b", None)
    d.pop(Same(), None)
    d.update(a=1)
    d.update(a=2)
    d.popitem()
    try:
        d.popitem()
        d.popitem()
    except KeyError:
        pass


def sets():
    s = {1, 2}
    s.add(1)
    s.add(2)
    s.add(3)
    s.discard(3)
    s.discard(3)
    s.add(5)
    s.add(Same())
    s.remove(5)
    s.add(Same())
    s.add(5)
    try:
        s.remove(9)
    except KeyError:
        pass


def large_set():
    seen = set(range(66))
    for i in (5, "a", "a", 66):
        seen.add(i)
    seen.discard("a")
    seen.discard("a")


def others():
    q = collections.deque([1, 2], 2)
    q.append(3)
    q.append(3)
    q.append(3)
    q.rotate(1)
    b = bytearray(b"ab")
    b.append(99)
    b.pop()
    try:
        b.append(999)
    except ValueError:
        pass


lists()
dicts()
sets()
large_set()
others()
